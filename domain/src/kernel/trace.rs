//! Which trace the work at hand is a part of, as W3C Trace Context writes it. A job carries it from the request that made
//! it to the worker that runs it.

use std::fmt;

use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static CURRENT: Option<TraceParent>;
}

/// A span that what is done now belongs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    /// Whether the trace is recorded.
    pub is_sampled: bool,
}

impl TraceParent {
    /// Reads the value of a `traceparent`. Source: W3C Trace Context, §3.2.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let mut field = |digits| parts.next().filter(|part| is_hex(part, digits));
        let (version, trace_id, span_id, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        // A later version may go on after one more dash; 00 does not, and ff is none.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let mut read = Self {
            trace_id: [0; 16],
            span_id: [0; 8],
            is_sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        };
        hex::decode_to_slice(trace_id, &mut read.trace_id).ok()?;
        hex::decode_to_slice(span_id, &mut read.span_id).ok()?;
        (read.trace_id != [0; 16] && read.span_id != [0; 8]).then_some(read)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace_id, span_id) = (hex::encode(self.trace_id), hex::encode(self.span_id));
        write!(f, "00-{trace_id}-{span_id}-{:02x}", u8::from(self.is_sampled))
    }
}

/// Whether it is so many hexadecimal digits; only small letters are.
fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Does some work under a span; a task that it spawns is not part of it.
pub fn within<F: Future>(span: Option<TraceParent>, work: F) -> TaskLocalFuture<Option<TraceParent>, F> {
    CURRENT.scope(span, work)
}

/// The span of this task; `None` when nobody traces it.
pub fn current() -> Option<TraceParent> {
    CURRENT.try_with(|span| *span).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_written_is_read_again() {
        let read = TraceParent::parse(GOOD).unwrap();
        assert_eq!((read.trace_id[0], read.span_id[7], read.is_sampled), (0x4b, 0xb7, true));
        assert_eq!(read.to_string(), GOOD);
        let quiet = TraceParent {
            is_sampled: false,
            ..read
        };
        assert_eq!(TraceParent::parse(&quiet.to_string()), Some(quiet));
    }

    #[test]
    fn of_the_flags_only_the_last_bit_counts() {
        for (flags, is_sampled) in [("00", false), ("01", true), ("02", false), ("03", true), ("ff", true)] {
            let text = format!("{}{flags}", &GOOD[..53]);
            assert_eq!(TraceParent::parse(&text).unwrap().is_sampled, is_sampled, "{text}");
        }
    }

    #[test]
    fn later_versions_may_say_more() {
        let rest = &GOOD[2..];
        for good in [format!("01{rest}"), format!("cc{rest}-more"), format!("fe{rest}-a-b")] {
            assert!(TraceParent::parse(&good).is_some(), "{good}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        for bad in [
            String::new(),
            "00".to_owned(),
            "-".repeat(55),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-"),
            format!("00-{trace}-{span}-1"),
            format!("00-{trace}-{span}-01-"),
            format!("00-{trace}-{span}-01-more"),
            format!("00-{trace}-{span}-0x"),
            format!("00-{trace}-{span}-+1"),
            format!("0-{trace}-{span}-01"),
            format!("ff-{trace}-{span}-01"),
            format!("01-{trace}-{span}-01more"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{trace}0-{span}-01"),
            format!("00-{}-{span}-01", "ä".repeat(16)),
            format!(" 00-{trace}-{span}-01"),
            format!("00-{trace}-{span}-01 "),
            format!("{GOOD},{GOOD}"),
        ] {
            assert_eq!(TraceParent::parse(&bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn work_knows_its_span_and_tasks_of_its_own_do_not() {
        assert_eq!(current(), None);
        let span = TraceParent::parse(GOOD);
        within(span, async {
            assert_eq!(current(), span);
            assert_eq!(tokio::spawn(async { current() }).await.unwrap(), None);
            within(None, async { assert_eq!(current(), None) }).await;
            assert_eq!(current(), span);
        })
        .await;
        assert_eq!(current(), None);
    }
}
