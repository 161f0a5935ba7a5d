//! The transaction of one request's change, committed together with the answer that a repetition will get.

use std::ops::Deref;
use std::sync::Arc;

use domain::idempotency::Answer;
use domain::kernel::{Error, Result, WriteTx};
use poem::IntoResponse;

use super::problem::ApiError;
use super::request::RequestContext;
use crate::app::App;

/// Response headers that belong to the answer; the others are the edge's.
const KEPT_HEADERS: [&str; 4] = ["content-type", "etag", "location", "set-cookie"];

/// An open change.
pub struct Write<'a> {
    app: &'a App,
    tx: WriteTx,
    context: Option<Arc<RequestContext>>,
    /// Whether it is held to how many requests the organisation may make.
    is_metered: bool,
}

impl Deref for Write<'_> {
    type Target = WriteTx;

    fn deref(&self) -> &WriteTx {
        &self.tx
    }
}

impl<'a> Write<'a> {
    pub(crate) async fn begin(app: &'a App) -> Result<Self> {
        Ok(Self {
            app,
            tx: app.db.begin_write().await?,
            context: RequestContext::current(),
            is_metered: true,
        })
    }

    /// The same for a change by which an organisation gets more of what it has used up.
    #[must_use]
    pub fn unmetered(self) -> Self {
        Self {
            is_metered: false,
            ..self
        }
    }

    /// Asks that the organisation of the request may change something at all this month.
    fn require_room(&self) -> Result<()> {
        match self.context.as_ref().and_then(|context| context.org()) {
            Some(org) if self.is_metered => self.app.meter.require_room(org),
            Some(_) | None => Ok(()),
        }
    }

    /// Commits the change and answers. With an `Idempotency-Key` the answer is stored in the same transaction.
    ///
    /// # Errors
    /// Nothing was committed then.
    pub async fn commit<R: IntoResponse + Clone>(self, answer: R) -> Result<R, ApiError> {
        self.require_room()?;
        self.keep(&answer).await?;
        let lanes = self.tx.commit().await?;
        if !lanes.is_empty() {
            self.app.bell.ring(&lanes).await;
        }
        Ok(answer)
    }

    /// Commits a change whose answer is not known yet, or is no answer to be given again. See [`keep_answer`].
    ///
    /// # Errors
    /// Nothing was committed then.
    pub async fn commit_unanswered(self) -> Result<(), ApiError> {
        self.require_room()?;
        let lanes = self.tx.commit().await?;
        if !lanes.is_empty() {
            self.app.bell.ring(&lanes).await;
        }
        Ok(())
    }

    /// Answers a request that turned out to change nothing.
    ///
    /// # Errors
    /// [`Error::Db`].
    pub async fn commit_unchanged<R: IntoResponse + Clone>(self, answer: R) -> Result<R, ApiError> {
        self.keep(&answer).await?;
        self.tx.commit_bookkeeping().await?;
        Ok(answer)
    }

    /// Commits what is no event of anybody's, such as a challenge with its mail, and answers.
    ///
    /// # Errors
    /// Nothing was committed then.
    pub async fn commit_bookkeeping<R: IntoResponse + Clone>(self, answer: R) -> Result<R, ApiError> {
        self.keep(&answer).await?;
        let lanes = self.tx.commit_bookkeeping().await?;
        if !lanes.is_empty() {
            self.app.bell.ring(&lanes).await;
        }
        Ok(answer)
    }

    /// Gives up whatever was begun and answers: for a change that was only tried, or came to nothing.
    ///
    /// # Errors
    /// [`Error::Db`].
    pub async fn give_up<R: IntoResponse + Clone>(self, answer: R) -> Result<R, ApiError> {
        let app = self.app;
        self.tx.rollback().await?;
        keep_answer(app, answer).await
    }

    async fn keep<R: IntoResponse + Clone>(&self, answer: &R) -> Result<()> {
        let Some(claim) = self.context.as_ref().and_then(|context| context.claim()) else {
            return Ok(());
        };
        let response = answer.clone().into_response();
        let status = response.status().as_u16();
        let headers = KEPT_HEADERS
            .iter()
            .filter_map(|name| {
                response
                    .header(*name)
                    .map(|value| ((*name).to_owned(), value.to_owned()))
            })
            .collect();
        let body = response
            .into_body()
            .into_vec()
            .await
            .map_err(|e| Error::internal(format!("answer: {e}")))?;
        claim
            .store(&self.tx, &self.app.keys, &Answer { status, headers, body })
            .await
    }
}

/// Whether the answer of this request is to be kept for a repetition, and so to be committed along with the change.
pub fn is_answer_kept() -> bool {
    RequestContext::current().is_some_and(|context| context.claim().is_some())
}

/// Stores the answer of a request whose change is committed already, if it has an `Idempotency-Key`.
///
/// # Errors
/// [`Error::Db`].
pub async fn keep_answer<R: IntoResponse + Clone>(app: &App, answer: R) -> Result<R, ApiError> {
    let write = Write::begin(app).await?;
    write.commit_unchanged(answer).await
}
