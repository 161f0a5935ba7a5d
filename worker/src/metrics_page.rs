//! The page that Prometheus reads, for a process that serves nothing else. It answers every request with it and closes
//! the connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::metrics::{CONTENT_TYPE, Registry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Bytes of a request at most.
const MAX_REQUEST: usize = 8192;
/// How long a reader may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Readers at once; more wait.
const READERS: usize = 8;
/// Pause when no connection can be taken: there may be no file handle left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves the page in a task of its own until `shutdown`.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(address: SocketAddr, registry: Registry, shutdown: CancellationToken) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(accept(listener, registry, shutdown));
    Ok(address)
}

async fn accept(listener: TcpListener, registry: Registry, shutdown: CancellationToken) {
    let readers = Arc::new(Semaphore::new(READERS));
    loop {
        let stream = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&readers).acquire_owned().await else {
            return;
        };
        let registry = registry.clone();
        tokio::spawn(async move {
            // A reader that gives up is no fault of ours.
            let _ = tokio::time::timeout(PATIENCE, answer(stream, &registry)).await;
            drop(permit);
        });
    }
}

async fn answer(mut stream: TcpStream, registry: &Registry) -> io::Result<()> {
    let mut request = Vec::with_capacity(1024);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if request.len() >= MAX_REQUEST || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let page = registry.render();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if !request.starts_with(b"HEAD ") {
        stream.write_all(page.as_bytes()).await?;
    }
    stream.shutdown().await
}
