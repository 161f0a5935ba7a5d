//! A receiver that takes every connection and never answers, and knows how many waited.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// The receiver.
pub struct Hanging {
    pub url: String,
    peak: Arc<AtomicUsize>,
}

impl Hanging {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let hanging = Self {
            url: format!("http://{}/hook", listener.local_addr().expect("an address")),
            peak: Arc::default(),
        };
        let (open, peak) = (Arc::new(AtomicUsize::new(0)), hanging.peak.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let now = open.fetch_add(1, Ordering::Relaxed) + 1;
                peak.fetch_max(now, Ordering::Relaxed);
                let open = open.clone();
                tokio::spawn(async move {
                    let mut request = vec![0; 16 * 1024];
                    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {}
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        hanging
    }

    /// The most deliveries that ever waited for an answer at once.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }
}
