//! The stream of a connection: a plain TCP stream, or one below TLS. Both say when something can be read, and then
//! read without waiting, so that an idle connection needs no buffer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::encrypted::CIPHERTEXT;

/// A stream of octets in both directions.
pub(super) trait ConnectionStream: AsyncWrite + Send + Unpin {
    /// The most octets that it holds itself of what its client does not take.
    const BUFFER: usize;

    /// Waits until a read may bring something; it need not.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Reads what is there into the spare room of a buffer, [`io::ErrorKind::WouldBlock`] when that is nothing.
    fn try_read(&mut self, buffer: &mut BytesMut) -> io::Result<usize>;
}

impl ConnectionStream for TcpStream {
    const BUFFER: usize = 0;

    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        Self::readable(self)
    }

    fn try_read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        self.try_read_buf(buffer)
    }
}

//----------- Secured --------------------------------------------------------

/// A stream below TLS.
pub(super) struct Secured {
    stream: TlsStream<TcpStream>,
    /// The last read brought something: more of it may wait decrypted, of which the socket knows nothing.
    more: bool,
}

impl Secured {
    pub(super) fn new(stream: TlsStream<TcpStream>) -> Self {
        // What came along with the end of the handshake.
        Self { stream, more: true }
    }
}

impl ConnectionStream for Secured {
    const BUFFER: usize = CIPHERTEXT;

    async fn readable(&self) -> io::Result<()> {
        match self.more {
            true => Ok(()),
            false => self.stream.get_ref().0.readable().await,
        }
    }

    fn try_read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        let mut room = [0; 4096];
        let wanted = buffer.spare_capacity_mut().len().min(room.len());
        let mut read = ReadBuf::new(room.get_mut(..wanted).unwrap_or_default());
        // Nobody need be woken: whoever finds nothing waits in `readable`.
        let polled = Pin::new(&mut self.stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut read);
        self.more = polled.is_ready();
        match polled {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) => {
                buffer.put_slice(read.filled());
                Ok(read.filled().len())
            }
        }
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
