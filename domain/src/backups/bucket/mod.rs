//! A bucket of an S3-compatible store. `rusty_s3` signs each request, for a few minutes and into its URL, so no URL is ever
//! written down; a client of ours sends it, and again when the store is busy or away. The store is the operator's choice.

mod answer;
mod fetch;
mod send;

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderName, IF_MATCH, RANGE};
use reqwest::{Client, Method, Response, StatusCode};
use rusty_s3::actions::{ListObjectsV2, ListObjectsV2Response};
use rusty_s3::{BucketError, Credentials, S3Action, UrlStyle};
use url::Url;

use self::answer::{Answer, Trouble};
use super::fault::Fault;
use crate::egress::{operator_client, why_unanswered};
use crate::kernel::config::{BackupBucket, BucketStyle};
use crate::kernel::id::BackupId;
use crate::kernel::{Error, Result};

pub(super) use self::fetch::Incoming;
pub(super) use self::send::Outgoing;

/// How long a signature is good: as far as clocks may be apart. The signer reads this machine's clock, whatever the clock of
/// the database says: the store does too.
const VALID: Duration = Duration::from_mins(15);
/// How long the answer to a short request may take, and to a part of a backup.
const SHORT: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_mins(5);
/// How long somebody waits who looks at the list of backups.
const GLANCE: Duration = Duration::from_secs(3);
/// Pauses before each further try, when little hangs on it and when a whole backup does.
const FEW: &[Duration] = &[Duration::from_millis(200), Duration::from_secs(1)];
const MANY: &[Duration] = &[
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
];

/// A bucket, and the folder in it where backups lie. Cheap to clone.
#[derive(Clone)]
pub(super) struct Bucket(Arc<Inner>);

struct Inner {
    s3: rusty_s3::Bucket,
    credentials: Credentials,
    /// With a slash at its end, or empty.
    prefix: String,
    http: Client,
}

/// A request, which is signed anew for every try.
struct Request<'a> {
    method: Method,
    sign: &'a (dyn Fn() -> Url + Sync),
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
    /// How long the answer may take to begin.
    patience: Duration,
    pauses: &'static [Duration],
}

impl<'a> Request<'a> {
    fn short(method: Method, sign: &'a (dyn Fn() -> Url + Sync)) -> Self {
        Self {
            method,
            sign,
            headers: Vec::new(),
            body: Bytes::new(),
            patience: SHORT,
            pauses: FEW,
        }
    }
}

/// The pauses that are left.
struct Pauses(slice::Iter<'static, Duration>);

impl Pauses {
    fn new(pauses: &'static [Duration]) -> Self {
        Self(pauses.iter())
    }

    /// Waits for the next try, if there is one and it may help.
    async fn after(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        match self.0.next() {
            Some(pause) if trouble.may_pass() => {
                tokio::time::sleep(*pause).await;
                Ok(())
            }
            Some(_) | None => Err(trouble),
        }
    }
}

impl Bucket {
    /// Nothing is asked of the store yet.
    pub(super) fn open(set: &BackupBucket) -> Result<Self> {
        let style = match set.style {
            BucketStyle::Path => UrlStyle::Path,
            BucketStyle::Virtual => UrlStyle::VirtualHost,
        };
        let s3 = rusty_s3::Bucket::new(set.endpoint.clone(), style, set.name.clone(), set.region.clone());
        let why = |error: BucketError| {
            Error::internal(format!("STRONGROOM_BACKUP_S3_ENDPOINT with the bucket's name: {error}"))
        };
        Ok(Self(Arc::new(Inner {
            s3: s3.map_err(why)?,
            credentials: Credentials::new(set.access_key.expose().as_str(), set.secret_key.expose().as_str()),
            prefix: set.prefix.clone(),
            http: operator_client()?,
        })))
    }

    /// For people: `s3://acme-backups/strongroom/`.
    pub(super) fn name(&self) -> String {
        format!("s3://{}/{}", self.0.s3.name(), self.0.prefix)
    }

    /// Where a backup lies in it.
    pub(super) fn key(&self, id: BackupId) -> String {
        format!("{}{id}.srb", self.0.prefix)
    }

    async fn once(&self, request: &Request<'_>) -> Result<Response, Trouble> {
        let mut ask = self.0.http.request(request.method.clone(), (request.sign)());
        for (name, value) in &request.headers {
            ask = ask.header(name.clone(), value.as_str());
        }
        if !request.body.is_empty() {
            ask = ask.body(request.body.clone());
        }
        let sent = tokio::time::timeout(request.patience, ask.send()).await;
        let sent = sent.map_err(|_| Trouble::Away("no answer in time".to_owned()))?;
        let response = sent.map_err(|error| Trouble::Away(why_unanswered(&error)))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(answer::refusal(response).await)
    }

    /// Asks until there is an answer, and reads it.
    async fn ask(&self, request: &Request<'_>) -> Result<Answer, Trouble> {
        let mut pauses = Pauses::new(request.pauses);
        loop {
            let outcome = match self.once(request).await {
                Ok(response) => answer::read(response).await,
                Err(trouble) => Err(trouble),
            };
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(trouble) => pauses.after(trouble).await?,
            }
        }
    }

    /// An object from a byte on, for as long as it is the one of that tag.
    async fn get(&self, key: &str, from: u64, etag: Option<&str>) -> Result<Response, Trouble> {
        let action = self.0.s3.get_object(Some(&self.0.credentials), key);
        let sign = || action.sign(VALID);
        let mut request = Request::short(Method::GET, &sign);
        request.pauses = MANY;
        if from > 0 {
            request.headers.push((RANGE, format!("bytes={from}-")));
        }
        if let Some(etag) = etag {
            request.headers.push((IF_MATCH, etag.to_owned()));
        }
        let mut pauses = Pauses::new(request.pauses);
        loop {
            match self.once(&request).await {
                Ok(response) if from > 0 && response.status() != StatusCode::PARTIAL_CONTENT => {
                    return Err(Trouble::Strange("the rest of a backup"));
                }
                Ok(response) => return Ok(response),
                Err(trouble) => pauses.after(trouble).await?,
            }
        }
    }

    /// Whether an object of this length is there.
    async fn is_there(&self, key: &str, size: u64) -> bool {
        let action = self.0.s3.head_object(Some(&self.0.credentials), key);
        let sign = || action.sign(VALID);
        let response = self.once(&Request::short(Method::HEAD, &sign)).await;
        response.is_ok_and(|response| answer::length(&response) == Some(size))
    }

    /// Deletes a backup, if it is there.
    pub(super) async fn delete(&self, key: &str) -> Result<(), Fault> {
        let action = self.0.s3.delete_object(Some(&self.0.credentials), key);
        let sign = || action.sign(VALID);
        match self.ask(&Request::short(Method::DELETE, &sign)).await {
            Err(trouble) if trouble.code() != "NoSuchKey" => Err(trouble.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether backups can be listed, without patience.
    pub(super) async fn look(&self) -> Result<(), Fault> {
        self.page(None, |action| action.with_max_keys(1), GLANCE, &[]).await?;
        Ok(())
    }

    /// Every backup in it with its length in bytes, the oldest first.
    pub(super) async fn list(&self) -> Result<Vec<(BackupId, u64)>, Fault> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = self.page(token.as_deref(), |_| {}, SHORT, FEW).await?;
            found.extend(page.contents.iter().filter_map(|object| {
                let name = object.key.strip_prefix(self.0.prefix.as_str())?.strip_suffix(".srb")?;
                Some((name.parse::<BackupId>().ok()?, object.size?))
            }));
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    async fn page(
        &self,
        token: Option<&str>,
        narrow: impl FnOnce(&mut ListObjectsV2<'_>),
        patience: Duration,
        pauses: &'static [Duration],
    ) -> Result<ListObjectsV2Response, Fault> {
        let mut action = self.0.s3.list_objects_v2(Some(&self.0.credentials));
        action.with_prefix(self.backups());
        if let Some(token) = token {
            action.with_continuation_token(token);
        }
        narrow(&mut action);
        let sign = || action.sign(VALID);
        let request = Request {
            patience,
            pauses,
            ..Request::short(Method::GET, &sign)
        };
        let answer = self.ask(&request).await?;
        let page = ListObjectsV2::parse_response(&answer.text).map_err(|_| Trouble::Strange("a list of objects"))?;
        Ok(page)
    }

    /// What the keys of backups begin with.
    fn backups(&self) -> String {
        format!("{}bak_", self.0.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Secret;

    fn bucket(endpoint: &str, style: BucketStyle, name: &str) -> Result<Bucket> {
        Bucket::open(&BackupBucket {
            name: name.to_owned(),
            endpoint: Url::parse(endpoint).unwrap(),
            region: "eu-central-1".to_owned(),
            prefix: "acme/".to_owned(),
            style,
            access_key: Secret::new("AKIDEXAMPLE".to_owned()),
            secret_key: Secret::new("s3cr3t".to_owned()),
        })
    }

    #[test]
    fn a_bucket_is_named_in_the_path_or_in_the_host() {
        let id = BackupId(uuid::Uuid::from_u128(3));
        for (endpoint, style, begin) in [
            (
                "http://10.0.0.7:9000",
                BucketStyle::Path,
                "http://10.0.0.7:9000/backups/",
            ),
            (
                "https://s3.eu-central-1.amazonaws.com",
                BucketStyle::Virtual,
                "https://backups.s3.eu-central-1.amazonaws.com/",
            ),
        ] {
            let bucket = bucket(endpoint, style, "backups").unwrap();
            let url = bucket.0.s3.object_url(&bucket.key(id));
            assert_eq!(url.as_str(), format!("{begin}acme/{id}.srb"));
            assert_eq!(bucket.name(), "s3://backups/acme/");
            let action = bucket.0.s3.get_object(Some(&bucket.0.credentials), "acme/x");
            let signed = action.sign(VALID);
            assert!(signed.as_str().contains("X-Amz-Expires=900&"), "{signed}");
            assert!(!signed.as_str().contains("s3cr3t"), "{signed}");
        }
    }

    #[test]
    fn a_name_that_no_host_can_have_is_refused() {
        let refused = bucket("https://s3.example.com", BucketStyle::Virtual, "Backups");
        let refused = refused.err().expect("it is refused").to_string();
        assert!(refused.contains("STRONGROOM_BACKUP_S3_ENDPOINT"), "{refused}");
    }
}
