//! Datagrams one at a time, by the means of the standard library: what [`mmsg`](super::mmsg) does on Linux, for a laptop
//! with another system.
//!
//! Which address was asked is not known here: an answer of a socket on all addresses leaves from the one that the system
//! chooses, which is right for loopback. One socket takes all that comes, as `SO_REUSEPORT` shares no load elsewhere, and
//! its thread looks from time to time whether it is to end. Linux compiles this for tests alone.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::handle::LONGEST_QUERY;

/// The number of datagrams that one call takes.
pub(super) const BATCH: usize = 1;

/// The longest answer that is written in place.
const REPLY: usize = 4096;

/// The time between looks of a thread at whether its socket is out of use.
const LOOK: Duration = Duration::from_millis(250);

/// The buffers of one thread.
pub(super) struct Batch {
    slots: [DatagramSlot; BATCH],
    received: usize,
}

/// One datagram and its answer.
pub(super) struct DatagramSlot {
    request: Box<[u8; LONGEST_QUERY]>,
    request_len: usize,
    from: Option<SocketAddr>,
    reply: Box<[u8; REPLY]>,
    reply_len: usize,
}

impl Batch {
    pub(super) fn new(_: &UdpSocket) -> Self {
        let slot = DatagramSlot {
            request: Box::new([0; LONGEST_QUERY]),
            request_len: 0,
            from: None,
            reply: Box::new([0; REPLY]),
            reply_len: 0,
        };
        Self { slots: [slot], received: 0 }
    }

    /// Receives one datagram; with `wait`, waits for it (as long as the socket's time-out says).
    pub(super) fn receive(&mut self, socket: &UdpSocket, wait: bool) -> io::Result<usize> {
        self.received = 0;
        socket.set_nonblocking(!wait)?;
        for slot in &mut self.slots {
            let (len, from) = socket.recv_from(slot.request.as_mut_slice())?;
            (slot.request_len, slot.from, slot.reply_len) = (len, Some(from), 0);
            self.received += 1;
        }
        Ok(self.received)
    }

    /// The datagrams of the last batch.
    pub(super) fn slots(&mut self) -> &mut [DatagramSlot] {
        self.slots.get_mut(..self.received).unwrap_or_default()
    }

    /// Sends the answers of the last batch. Returns how many could not be sent.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> usize {
        let answers = self.slots.iter().take(self.received).filter(|slot| slot.reply_len > 0);
        let sent = answers.map(|slot| {
            let octets = slot.reply.get(..slot.reply_len).unwrap_or_default();
            slot.envelope().is_some_and(|envelope| send_one(socket, octets, &envelope).is_ok())
        });
        sent.filter(|sent| !sent).count()
    }

    /// False: the size never changes.
    pub(super) fn is_grown(&self) -> bool {
        false
    }

    /// Does nothing: the size never changes.
    pub(super) fn shrink(&mut self) {}
}

impl DatagramSlot {
    /// The sender of the datagram.
    pub(super) fn envelope(&self) -> Option<DatagramEnds> {
        self.from.map(DatagramEnds)
    }

    /// The datagram and the place for its answer.
    pub(super) fn parts(&mut self) -> (&[u8], &mut [u8]) {
        (self.request.get(..self.request_len).unwrap_or_default(), self.reply.as_mut_slice())
    }

    /// Says how long the answer is; 0 for none.
    pub(super) fn answer(&mut self, len: usize) {
        self.reply_len = len;
    }
}

/// The sender of a datagram.
#[derive(Clone, Copy)]
pub(super) struct DatagramEnds(SocketAddr);

impl DatagramEnds {
    /// The sender. An IPv4 client of a socket for both families is shown as one.
    pub(super) fn peer(&self) -> SocketAddr {
        match self.0.ip().to_canonical() {
            IpAddr::V4(v4) => (v4, self.0.port()).into(),
            IpAddr::V6(_) => self.0,
        }
    }

    /// The address that was asked is not known.
    pub(super) fn local(&self) -> Option<IpAddr> {
        None
    }
}

/// Sends one answer by itself.
pub(super) fn send_one(socket: &UdpSocket, octets: &[u8], envelope: &DatagramEnds) -> io::Result<()> {
    socket.send_to(octets, envelope.0).map(drop)
}

/// Asks for nothing: see above.
pub(super) fn ask_for_local_address(_: &UdpSocket, _: bool) -> io::Result<()> {
    Ok(())
}

/// Lets whoever waits on a socket wake after a time at most.
pub(super) fn wake_after(socket: &UdpSocket, limit: Option<Duration>) -> io::Result<()> {
    socket.set_read_timeout(Some(limit.unwrap_or(LOOK).min(LOOK)))
}

/// Leaves the limit of open files as it is, and reckons with the lowest one that is common.
pub(super) fn raise_file_limit() -> u64 {
    256
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::super::metrics::ShardId;
    use super::super::testing::{query, table, with_opt};
    use super::super::{Handler, LoadLimits, mmsg, portable};
    use super::*;
    use crate::chain::{Client, Transport};
    use crate::serve::handle::{Arrived, Begun};

    /// The answers that clients get to some datagrams, or nothing, from the loop in a module.
    macro_rules! answers {
        ($datagrams:ident, $server:expr, $asked:expr) => {{
            let handler = Arc::new(Handler::new(table().0, LoadLimits::default()));
            let server = UdpSocket::bind($server).unwrap();
            let local = server.local_addr().unwrap();
            $datagrams::ask_for_local_address(&server, local.is_ipv6()).unwrap();
            $datagrams::wake_after(&server, None).unwrap();
            let mut batch = $datagrams::Batch::new(&server);
            let own = if local.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
            let client = UdpSocket::bind(own).unwrap();
            client.connect((client.local_addr().unwrap().ip(), local.port())).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut answers = Vec::new();
            for octets in $asked {
                client.send(octets).unwrap();
                // On a busy machine the time-out may come first.
                while batch.receive(&server, true).is_err() {}
                let mut silent = true;
                for slot in batch.slots() {
                    let peer = slot.envelope().unwrap().peer();
                    assert_eq!(peer, client.local_addr().unwrap());
                    assert!(slot.envelope().unwrap().local().is_none_or(|asked| asked == peer.ip()));
                    let client = Client { peer, local, transport: Transport::Udp };
                    let (octets, buffer) = slot.parts();
                    let shard = ShardId::SHARED;
                    let arrived = Arrived { octets, client, received: Instant::now(), shard, seed: 7, pressure: None };
                    if let Begun::Answer { len, .. } = handler.begin(&handler.table(), &arrived, buffer) {
                        slot.answer(len);
                        silent = false;
                    }
                }
                assert_eq!(batch.send(&server), 0);
                let mut answer = vec![0; 4096];
                let len = if silent { 0 } else { client.recv(&mut answer).unwrap() };
                answers.push(answer[..len].to_vec());
            }
            assert_eq!(batch.receive(&server, false).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            batch.shrink();
            assert!(!batch.is_grown() && batch.slots().is_empty());
            answers
        }};
    }

    #[test]
    fn the_portable_loop_answers_as_the_one_of_linux_does() {
        assert!(raise_file_limit() <= mmsg::raise_file_limit());
        let mut response = query("a.test", 1);
        response[2] |= 0x80;
        let asked = [
            query("a.test", 1),
            query("n20.test", 28),
            with_opt(query("n60.test", 1), 4096),
            query("n60.test", 1),
            query("elsewhere.example", 1),
            query("panic.test", 1),
            response,
            Vec::new(),
            vec![0; 11],
            vec![0x11; 5000],
        ];
        for server in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            // Not every machine has IPv6.
            if UdpSocket::bind(server).is_err() {
                continue;
            }
            let (fast, slow) = (answers!(mmsg, server, &asked), answers!(portable, server, &asked));
            assert_eq!(fast, slow, "{server}");
            assert!(slow.iter().filter(|answer| !answer.is_empty()).count() >= 6, "{slow:?}");
        }
    }
}
