//! The wire under one connection, watched so that nobody computes for a client that is gone.
//!
//! HTTP alone does not notice: it looks for the end of the stream only while nothing is buffered, and
//! a second request sent behind the first (pipelining) fills the buffer. Nor does the end of what a
//! client sends show whether it still reads: both `close` and a half-close begin with the same FIN.
//! Only what is written to it shows it, because who is gone answers with a reset. A stream is written to
//! anyway. Where an answer is still being made, an interim response is written (RFC 9110, 15.2): a
//! client that half-closed has to skip it, and no other client ever gets one.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::FutureExt;
use hyper::Version;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, sleep},
};

/// Between two looks at a connection.
const LOOK: Duration = Duration::from_millis(250);
/// Between two interim responses to a client that sends no more and waits.
const ASK: Duration = Duration::from_secs(5);
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// A peer that is silent for so long is asked for a sign of life, and then again and again. One
/// whose machine vanished never sends a reset.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));

/// One connection's socket, for whoever reads and writes it.
pub(super) struct Wire {
    read: Arc<OwnedReadHalf>,
    write: OwnedWriteHalf,
    turn: Arc<Turn>,
}

/// The same socket, for whoever watches it.
pub(super) struct Watch {
    read: Arc<OwnedReadHalf>,
    turn: Arc<Turn>,
}

/// Whose turn it is on a connection.
#[derive(Default)]
struct Turn {
    /// A request is in its handler, and nothing of its response is there yet.
    ours: AtomicBool,
    /// That request is of a version with interim responses.
    interim: AtomicBool,
    /// Something was written that may not have been handed to the system.
    unflushed: AtomicBool,
}

/// Our turn, until dropped.
pub(super) struct Answering(Arc<Turn>);

/// Splits a socket. A peer that takes nothing of what was sent for `stall` is given up.
pub(super) fn wire(socket: TcpStream, stall: Duration) -> (Wire, Watch) {
    let plain = SockRef::from(&socket);
    // Tokens are small and must not wait for one another.
    let set = plain.set_tcp_nodelay(true).and_then(|()| plain.set_tcp_keepalive(&KEEPALIVE));
    #[cfg(target_os = "linux")]
    let set = set.and_then(|()| plain.set_tcp_user_timeout(Some(stall)));
    if let Err(error) = set {
        tracing::debug!(%error, "an option of a connection could not be set");
    }
    let (read, write) = socket.into_split();
    let (read, turn) = (Arc::new(read), Arc::<Turn>::default());
    (Wire { read: read.clone(), write, turn: turn.clone() }, Watch { read, turn })
}

impl Watch {
    /// Says that a request of this version is being answered, until the guard is dropped.
    pub(super) fn answering(&self, version: Version) -> Answering {
        self.turn.interim.store(version >= Version::HTTP_11, Ordering::Relaxed);
        self.turn.ours.store(true, Ordering::Relaxed);
        Answering(self.turn.clone())
    }

    /// Resolves when nobody is there to read what may still be written.
    pub(super) async fn left(&self) {
        let mut asked = None;
        while !self.look(&mut asked) {
            sleep(LOOK).await;
        }
    }

    fn look(&self, asked: &mut Option<Instant>) -> bool {
        let socket: &TcpStream = (*self.read).as_ref();
        let now = socket.ready(Interest::READABLE | Interest::WRITABLE).now_or_never();
        let Some(Ok(ready)) = now else { return false };
        if ready.is_write_closed() {
            return true; // reset, or given up by the system
        }
        if !ready.is_read_closed() || !self.turn.ours.load(Ordering::Relaxed) {
            return false;
        }
        if !self.turn.interim.load(Ordering::Relaxed) {
            return true; // can't be asked
        }
        let just = asked.is_some_and(|asked| asked.elapsed() < ASK);
        if just || self.turn.unflushed.load(Ordering::Relaxed) {
            return false;
        }
        *asked = Some(Instant::now());
        match socket.try_write(INTERIM) {
            Ok(written) => written < INTERIM.len(),
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.ours.store(false, Ordering::Relaxed);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket: &TcpStream = (*self.read).as_ref();
        loop {
            ready!(socket.poll_read_ready(context))?;
            match socket.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|_| ())),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.turn.unflushed.store(true, Ordering::Relaxed);
        Pin::new(&mut self.write).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.turn.unflushed.store(true, Ordering::Relaxed);
        Pin::new(&mut self.write).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.write.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.write).poll_flush(context))?;
        self.turn.unflushed.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(context)
    }
}
