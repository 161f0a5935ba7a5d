//! What the store answers, and what it means when it says no.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::{CONTENT_LENGTH, DATE, ETAG, HeaderName};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::super::fault::Fault;
use crate::egress::why_unanswered;
use crate::kernel::{Clock, Timestamp};

/// Longest answer that is read into memory, bytes: a thousand objects take half a megabyte.
const LONGEST: usize = 4 * 1024 * 1024;
/// How long the rest of an answer may take.
const REST: Duration = Duration::from_secs(30);
/// How far clocks may be apart before that is taken for the reason of a refusal.
const SKEW: Duration = Duration::from_mins(5);

/// An answer that was read.
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) etag: Option<String>,
}

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There was no answer, or only half of one.
    Away(String),
    /// It says no.
    Refused {
        status: u16,
        /// Of the store's own list: `NoSuchBucket`.
        code: String,
        /// How far its clock is ahead of ours, or behind it.
        skew: Duration,
    },
    /// It says something else than this.
    Strange(&'static str),
}

impl Trouble {
    /// The store's word for it; empty if it gave none.
    pub(super) fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Away(_) | Self::Strange(_) => "",
        }
    }

    /// Whether another try may help.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Away(_) => true,
            Self::Refused { status, code, .. } => {
                matches!(*status, 408 | 429 | 500 | 502..=599) || code == "RequestTimeout" || code == "SlowDown"
            }
            Self::Strange(_) => false,
        }
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        let may_pass = trouble.may_pass();
        match trouble {
            Trouble::Away(why) => Self::Store(why),
            Trouble::Strange(what) => Self::Store(format!("its answer is not {what}")),
            Trouble::Refused { status, code, .. } if may_pass => Self::Store(format!("it answers {status} {code}")),
            Trouble::Refused { status, code, skew } => {
                let is_clock = matches!(code.as_str(), "AccessDenied" | "") && status == 403 && skew > SKEW;
                Self::refused(if is_clock || code == "RequestTimeTooSkewed" {
                    skewed(skew)
                } else {
                    told(&code, status)
                })
            }
        }
    }
}

fn skewed(skew: Duration) -> String {
    let minutes = skew.as_secs() / 60;
    format!("The clock of this machine and that of the backup store are {minutes} minutes apart: set this one right.")
}

/// What a refusal means, and what to do about it.
fn told(code: &str, status: u16) -> String {
    let known = match code {
        "InvalidAccessKeyId" => {
            "The backup store does not know the access key: set STRONGROOM_BACKUP_S3_ACCESS_KEY to one of its keys."
        }
        "SignatureDoesNotMatch" => {
            "The backup store does not accept the signature: STRONGROOM_BACKUP_S3_SECRET_KEY is not the key that belongs to \
             the access key, or a proxy changes requests."
        }
        "AuthorizationHeaderMalformed"
        | "AuthorizationQueryParametersError"
        | "IllegalLocationConstraintException"
        | "PermanentRedirect"
        | "TemporaryRedirect" => {
            "The bucket is elsewhere: set STRONGROOM_BACKUP_S3_REGION and STRONGROOM_BACKUP_S3_ENDPOINT to its region."
        }
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => {
            "The backup store does not permit that: the access key needs s3:ListBucket and s3:ListBucketMultipartUploads on \
             the bucket, and s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on what is in it."
        }
        "NoSuchBucket" => {
            "There is no such bucket in the backup store: make it, or set STRONGROOM_BACKUP_S3_BUCKET to one that is there."
        }
        "NoSuchKey" => "The backup is not in its bucket.",
        "NoSuchUpload" => "The backup store has dropped what was sent of the backup.",
        "PreconditionFailed" => "The backup in the bucket was changed while it was read.",
        "" if status == 404 => "The backup is not in its bucket.",
        _ => return format!("The backup store refuses: {status} {code}."),
    };
    known.to_owned()
}

fn header(response: &Response, name: HeaderName) -> Option<String> {
    let value = response.headers().get(name)?;
    value.to_str().ok().map(str::to_owned)
}

/// What names the content of an object.
pub(super) fn etag(response: &Response) -> Option<String> {
    header(response, ETAG)
}

/// The length of an object, bytes, as the answer to HEAD tells it.
pub(super) fn length(response: &Response) -> Option<u64> {
    header(response, CONTENT_LENGTH)?.parse().ok()
}

async fn text(mut response: Response) -> Result<String, Trouble> {
    let mut bytes = Vec::new();
    loop {
        let chunk = tokio::time::timeout(REST, response.chunk()).await;
        let chunk = chunk.map_err(|_| Trouble::Away("the answer breaks off".to_owned()))?;
        match chunk.map_err(|error| Trouble::Away(why_unanswered(&error)))? {
            Some(chunk) if bytes.len() + chunk.len() <= LONGEST => bytes.extend_from_slice(&chunk),
            Some(_) => return Err(Trouble::Strange("as short as it should be")),
            None => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}

/// Reads an answer to its end. What begins well may still be an error: the store does not know yet when it begins.
pub(super) async fn read(response: Response) -> Result<Answer, Trouble> {
    let etag = etag(&response);
    let text = text(response).await?;
    if text.contains("<Error>") {
        return Err(Trouble::Refused {
            status: 500,
            code: code(&text),
            skew: Duration::ZERO,
        });
    }
    Ok(Answer { text, etag })
}

/// What a refusal says.
pub(super) async fn refusal(response: Response) -> Trouble {
    let status = response.status().as_u16();
    let skew = header(&response, DATE).and_then(|date| apart(&date, Clock::system().now()));
    let said = text(response).await.unwrap_or_default();
    Trouble::Refused {
        status,
        code: code(&said),
        skew: skew.unwrap_or_default(),
    }
}

/// How far a date of HTTP and our time are apart.
fn apart(date: &str, now: Timestamp) -> Option<Duration> {
    let theirs = OffsetDateTime::parse(date, &Rfc2822).ok()?.unix_timestamp();
    let theirs = Timestamp::from_micros(theirs.saturating_mul(1_000_000));
    Some(now.since(theirs).max(theirs.since(now)))
}

/// The store's word for an error; letters and digits only, for it is shown.
fn code(xml: &str) -> String {
    let code = element(xml, "Code").unwrap_or_default();
    code.chars().filter(char::is_ascii_alphanumeric).take(64).collect()
}

/// The text of the first element of this name.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    let text = plain
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(*escaped, plain));
    Some(text)
}

/// An upload that was begun and not ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) key: String,
    pub(super) upload: String,
    pub(super) since: Option<Timestamp>,
}

/// Those that a list tells of.
pub(super) fn open_uploads(xml: &str) -> Vec<Open> {
    let parts = xml.split("<Upload>").skip(1);
    let read = |part: &str| {
        Some(Open {
            key: element(part, "Key")?,
            upload: element(part, "UploadId")?,
            since: element(part, "Initiated").and_then(|at| Timestamp::parse(&at).ok()),
        })
    };
    parts.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str, skew: Duration) -> Fault {
        Fault::from(Trouble::Refused {
            status,
            code: code.to_owned(),
            skew,
        })
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_is_set_wrongly_is_not() {
        for (status, code) in [
            (500, "InternalError"),
            (503, "SlowDown"),
            (429, ""),
            (400, "RequestTimeout"),
        ] {
            let fault = refused(status, code, Duration::ZERO);
            assert!(matches!(fault, Fault::Store(_)), "{status} {code}: {fault}");
        }
        for (status, code, word) in [
            (403, "InvalidAccessKeyId", "ACCESS_KEY"),
            (403, "SignatureDoesNotMatch", "SECRET_KEY"),
            (403, "AccessDenied", "s3:PutObject"),
            (404, "NoSuchBucket", "bucket"),
            (404, "NoSuchKey", "not in its bucket"),
            (301, "PermanentRedirect", "REGION"),
            (501, "NotImplemented", "501 NotImplemented"),
        ] {
            let fault = refused(status, code, Duration::ZERO);
            assert!(
                matches!(&fault, Fault::Refused(why) if why.contains(word)),
                "{code}: {fault}"
            );
        }
    }

    #[test]
    fn clocks_that_are_apart_are_the_reason_of_a_refusal() {
        let hour = Duration::from_hours(1);
        for code in ["RequestTimeTooSkewed", "AccessDenied", ""] {
            let fault = refused(403, code, hour).to_string();
            assert!(fault.contains("60 minutes apart"), "{code}: {fault}");
        }
        let fault = refused(403, "SignatureDoesNotMatch", hour).to_string();
        assert!(fault.contains("SECRET_KEY"), "{fault}");
        let now = Timestamp::parse("1994-11-06T08:49:37Z").unwrap();
        for date in ["Sun, 06 Nov 1994 07:49:37 GMT", "Sun, 06 Nov 1994 09:49:37 GMT"] {
            assert_eq!(apart(date, now), Some(hour));
        }
    }

    #[test]
    fn errors_and_open_uploads_are_read_from_xml() {
        let error = "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>a &lt; b</Message></Error>";
        assert_eq!(code(error), "NoSuchKey");
        assert_eq!(element(error, "Message").as_deref(), Some("a < b"));
        assert_eq!(code("<Error><Code>&lt;script&gt;</Code></Error>"), "script");
        assert_eq!(code("nothing of the kind"), "");
        let list = "<ListMultipartUploadsResult><UploadIdMarker/><Upload><Key>a/bak_1.srb</Key><UploadId>1&amp;2</UploadId>\
             <Initiated>2030-01-02T03:04:05.000Z</Initiated></Upload><Upload><UploadId>3</UploadId><Key>b</Key></Upload>\
             </ListMultipartUploadsResult>";
        let open = open_uploads(list);
        assert_eq!(open.len(), 2);
        assert_eq!((open[0].key.as_str(), open[0].upload.as_str()), ("a/bak_1.srb", "1&2"));
        assert_eq!(open[0].since, Timestamp::parse("2030-01-02T03:04:05Z").ok());
        assert_eq!((open[1].key.as_str(), open[1].since), ("b", None));
    }
}
