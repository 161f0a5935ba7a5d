//! How long one connection may keep us waiting: for the head of a request, and to take what we send.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::combinators::MapErr;
use hyper::body::Body;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// What a peer has time for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the first byte of a head to its last; on a fresh connection, from its opening.
    pub head: Duration,
    /// For the peer to take anything at all of what we have to send.
    pub write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            write: Duration::from_mins(1),
        }
    }
}

/// Where a connection is in its exchange of requests and responses.
#[derive(Default)]
pub struct Exchange {
    /// Even while the connection waits for a request, odd while one is in flight; grows with every change.
    turn: AtomicU64,
    heard: AtomicBool,
}

impl Exchange {
    /// A request has arrived; it is in flight until the value is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.turn.fetch_add(1, Ordering::AcqRel);
        InFlight(self.clone())
    }

    /// Whether the peer ever sent a byte.
    pub fn was_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }

    /// The turn, while the connection waits for a request.
    fn waiting(&self) -> Option<u64> {
        let turn = self.turn.load(Ordering::Acquire);
        turn.is_multiple_of(2).then_some(turn)
    }
}

/// A request that is not answered in full.
pub struct InFlight(Arc<Exchange>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.turn.fetch_add(1, Ordering::AcqRel);
    }
}

/// The same body; `in_flight` ends when hyper has sent it or given it up.
pub fn while_sending<B: Body>(body: B, in_flight: InFlight) -> MapErr<B, impl FnMut(B::Error) -> B::Error> {
    body.map_err(move |error| {
        let _until_dropped = &in_flight;
        error
    })
}

/// A TCP stream that fails with [`io::ErrorKind::TimedOut`] when its peer is slower than our patience.
pub struct PatientStream {
    stream: TcpStream,
    exchange: Arc<Exchange>,
    patience: Patience,
    /// The turn whose head has begun to arrive, and when it must be whole.
    head_due: Option<(u64, Instant)>,
    head_timer: Pin<Box<Sleep>>,
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl PatientStream {
    /// The head of the first request is due from now on.
    pub fn new(stream: TcpStream, exchange: Arc<Exchange>, patience: Patience) -> Self {
        let due = Instant::now() + patience.head;
        let head_timer = Box::pin(tokio::time::sleep_until(due));
        Self {
            stream,
            exchange,
            patience,
            head_due: Some((0, due)),
            head_timer,
            write_timer: None,
        }
    }

    /// Bytes came in; the first of a head start its clock.
    fn heard(&mut self) {
        self.exchange.heard.store(true, Ordering::Release);
        if let Some(turn) = self.exchange.waiting()
            && self.head_due.is_none_or(|(of, _)| of != turn)
        {
            self.head_due = Some((turn, Instant::now() + self.patience.head));
        }
    }

    /// Ready when the head that is arriving is overdue.
    fn poll_head_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match (self.head_due, self.exchange.waiting()) {
            (Some((of, due)), Some(turn)) if of == turn => {
                if self.head_timer.deadline() != due {
                    self.head_timer.as_mut().reset(due);
                }
                self.head_timer.as_mut().poll(cx)
            }
            _ => Poll::Pending,
        }
    }

    /// Passes `polled` on, unless it has been pending for too long.
    fn within_patience<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.write_timer = None;
            return polled;
        }
        let limit = self.patience.write;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for PatientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if polled.is_pending() {
            ready!(this.poll_head_overdue(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if buffer.filled().len() > before {
            this.heard();
        }
        polled
    }
}

impl AsyncWrite for PatientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.within_patience(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.within_patience(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
