//! Datagrams in batches: one system call receives up to 64, one sends their answers, each from the address it was sent to.
//! Answers for one client pass the network stack as one ([`runs`]).
//!
//! The one module of this room with `unsafe`: the standard library has neither `recvmmsg` and `sendmmsg` nor control
//! messages, and a system call for each datagram costs twice the time of a whole answer. Only the calls themselves are
//! unsafe; what the kernel wrote (addresses, control messages) is taken apart as plain octets, which Miri checks. The
//! calls are foreign to Miri and are tested on real sockets. For want of another place the number of open files is
//! raised here as well.
//!
//! # Invariants
//!
//! - `live-pointers`: each pointer handed to the kernel points into a buffer that is borrowed mutably (receive) or
//!   shared (send) for as long as the call lasts; headers are built anew for each call and outlive none.
//! - `true-lengths`: the length beside a pointer is the length of the buffer that it points into.
//! - `zero-is-valid`: `mmsghdr`, `msghdr`, `iovec` and `rlimit` are plain C structures, for which all zeroes is a value.

#![expect(unsafe_code, reason = "recvmmsg, sendmmsg and IP_PKTINFO have no safe interface")]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::Duration;

use super::handle::LONGEST_QUERY;
use super::runs::{self, AnswerRun, BatchedAnswer};

/// The most datagrams of one call: the time of a batch stays below a third of a millisecond.
pub(super) const BATCH: usize = 64;

/// The datagrams that a socket has buffers for while few ask: a client's A and AAAA come as two.
const FIRST: usize = 2;

/// While no more than so many come at a time, headers are prepared for so many alone: preparing all of them takes longer
/// than answering one query.
const FEW: usize = 8;

/// The longest answer in a batch: the upper end of `bufsize`, and what nearly every client can take at most. Longer ones are
/// sent by themselves.
const REPLY: usize = 4096;

/// Room for the control messages of one datagram: both families' packet information.
const CONTROL: usize = 80;

//----------- Batch ----------------------------------------------------------

/// The buffers of one thread: requests and the answers to them.
pub(super) struct Batch {
    slots: Vec<DatagramSlot>,
    received: usize,
    /// The number that the next call may take: [`FIRST`], [`FEW`] or [`BATCH`].
    width: usize,
    /// The system parts one message into datagrams (UDP_SEGMENT, Linux 4.18).
    segments: bool,
}

/// One datagram and its answer.
pub(super) struct DatagramSlot {
    request: Box<[u8; LONGEST_QUERY]>,
    request_len: usize,
    peer: Octets<28>,
    control: Octets<CONTROL>,
    control_len: usize,
    reply: Box<[u8; REPLY]>,
    reply_len: usize,
}

/// Aligned as the kernel wants addresses and control messages.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Octets<const N: usize>([u8; N]);

impl Batch {
    pub(super) fn new(socket: &UdpSocket) -> Self {
        Self { slots: Vec::new(), received: 0, width: FIRST, segments: has_segments(socket) }
    }

    /// Receives what is there; with `wait`, waits for the first datagram (as long as the socket's time-out says).
    /// Nothing is delayed to fill a batch.
    pub(super) fn receive(&mut self, socket: &UdpSocket, wait: bool) -> io::Result<usize> {
        self.received = 0;
        // A socket that never has much to do, one of many perhaps, needs no buffers for more.
        if self.slots.len() < self.width {
            self.slots.resize_with(self.width, DatagramSlot::new);
        }
        let count = match self.width {
            0..=FEW => self.receive_up_to::<FEW>(socket, wait)?,
            _ => self.receive_up_to::<BATCH>(socket, wait)?,
        };
        self.received = count;
        // What fills its headers says that more waits; the next call takes it.
        self.width = match count {
            count if count >= self.width => {
                if self.width < FEW {
                    FEW
                } else {
                    BATCH
                }
            }
            0..FEW => self.width.min(FEW),
            _ => self.width,
        };
        Ok(count)
    }

    /// Whether there are more buffers than at first.
    pub(super) fn is_grown(&self) -> bool {
        self.slots.len() > FIRST
    }

    /// Gives back what has grown; the last batch with it.
    pub(super) fn shrink(&mut self) {
        self.slots.truncate(FIRST);
        self.slots.shrink_to_fit();
        (self.received, self.width) = (0, FIRST);
    }

    fn receive_up_to<const MOST: usize>(&mut self, socket: &UdpSocket, wait: bool) -> io::Result<usize> {
        // SAFETY: zero-is-valid.
        let (mut headers, mut vectors): ([libc::mmsghdr; MOST], [libc::iovec; MOST]) = unsafe { zeroed() };
        for ((slot, header), vector) in self.slots.iter_mut().zip(&mut headers).zip(&mut vectors) {
            vector.iov_base = slot.request.as_mut_ptr().cast();
            vector.iov_len = LONGEST_QUERY;
            header.msg_hdr.msg_name = slot.peer.0.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = slot.peer.0.len() as _;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = slot.control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL as _;
        }
        let most = self.width.min(MOST);
        let flags = if wait { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
        // SAFETY: live-pointers (`self` is borrowed mutably, `vectors` lives on), true-lengths.
        let count =
            unsafe { libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), most as _, flags as _, ptr::null_mut()) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (slot, header) in self.slots.iter_mut().zip(&headers).take(count) {
            slot.request_len = (header.msg_len as usize).min(LONGEST_QUERY);
            #[allow(clippy::unnecessary_cast, reason = "usize with glibc, u32 with musl")]
            let control_len = header.msg_hdr.msg_controllen as usize;
            slot.control_len = control_len.min(CONTROL);
            slot.reply_len = 0;
        }
        Ok(count)
    }

    /// The datagrams of the last batch.
    pub(super) fn slots(&mut self) -> &mut [DatagramSlot] {
        self.slots.get_mut(..self.received).unwrap_or_default()
    }

    /// Sends the answers of the last batch. Returns how many could not be sent.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> usize {
        if self.received <= FEW { self.send_up_to::<FEW>(socket) } else { self.send_up_to::<BATCH>(socket) }
    }

    fn send_up_to<const MOST: usize>(&mut self, socket: &UdpSocket) -> usize {
        let mut places = [0; MOST];
        let received = self.slots.iter().take(self.received);
        let answers = received.enumerate().filter(|(_, slot)| slot.reply_len > 0).map(|(at, slot)| slot.as_answer(at));
        let places = runs::order(answers, &mut places);
        let (slots, segments) = (&self.slots, self.segments);
        let at = |place: usize| slots.get(place).filter(|slot| slot.reply_len > 0);
        // SAFETY: zero-is-valid.
        let mut vectors: [libc::iovec; MOST] = unsafe { zeroed() };
        for (vector, slot) in vectors.iter_mut().zip(places.iter().filter_map(|&place| at(place.into()))) {
            // The kernel only reads what it sends.
            vector.iov_base = slot.reply.as_ptr().cast_mut().cast();
            vector.iov_len = slot.reply_len.min(REPLY);
        }
        // SAFETY: zero-is-valid.
        let mut headers: [libc::mmsghdr; MOST] = unsafe { zeroed() };
        let mut controls = [const { Octets([0; CONTROL]) }; MOST];
        let mut runs = [AnswerRun::default(); MOST];
        let joined = |one: usize, other: usize| {
            segments && at(one).zip(at(other)).is_some_and(|(one, other)| one.is_for_the_client_of(other))
        };
        let count = runs::split(places, |place| at(place).map_or(0, |slot| slot.reply_len), joined, &mut runs);
        let parts = runs.iter().take(count).zip(&mut headers).zip(&mut controls);
        for ((run, header), control) in parts {
            let first = places.get(run.start).and_then(|&place| at(place.into()));
            let (Some(slot), Some(vectors)) = (first, vectors.get(run.start..run.start + run.count)) else { continue };
            let mut octets = slot.envelope().map_or_else(ControlMessages::new, |envelope| envelope.control());
            if run.count > 1 {
                octets.segments(slot.reply_len);
            }
            *control = octets.octets;
            header.msg_hdr = message(&slot.peer, vectors, control, octets.len);
        }
        let (mut sent, mut failed, mut refused) = (0, 0, false);
        while sent < count {
            let Some(rest) = headers.get_mut(sent..count) else { break };
            // SAFETY: live-pointers (`slots` is borrowed, `vectors` and `controls` live on), true-lengths.
            let done = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as _, 0) };
            match usize::try_from(done) {
                Ok(done) if done > 0 => sent += done,
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // The first of the rest cannot be sent (no route, a broken address): the others can. A device that
                // cannot part messages refuses them: each datagram is sent by itself then, from now on.
                _ => {
                    let Some(run) = runs.get(sent).copied() else { break };
                    refused |= run.count > 1;
                    for slot in places.iter().skip(run.start).take(run.count).filter_map(|&place| at(place.into())) {
                        let octets = slot.reply.get(..slot.reply_len).unwrap_or_default();
                        let again =
                            run.count > 1 && slot.envelope().is_some_and(|to| send_one(socket, octets, &to).is_ok());
                        failed += usize::from(!again);
                    }
                    sent += 1;
                }
            }
        }
        self.segments &= !refused;
        failed
    }
}

impl DatagramSlot {
    fn new() -> Self {
        Self {
            request: Box::new([0; LONGEST_QUERY]),
            request_len: 0,
            peer: Octets([0; 28]),
            control: Octets([0; CONTROL]),
            control_len: 0,
            reply: Box::new([0; REPLY]),
            reply_len: 0,
        }
    }

    /// The sender of the datagram and the address it was sent to; `None` for an address family that is no IP.
    pub(super) fn envelope(&self) -> Option<DatagramEnds> {
        DatagramEnds::read(&self.peer.0, self.control.0.get(..self.control_len).unwrap_or_default())
    }

    fn as_answer(&self, place: usize) -> BatchedAnswer<'_> {
        BatchedAnswer { place, client: &self.peer.0, len: self.reply_len }
    }

    /// Whether both came from one client to one address.
    fn is_for_the_client_of(&self, other: &Self) -> bool {
        self.peer.0 == other.peer.0
            && self.control_len == other.control_len
            && self.control.0.iter().zip(&other.control.0).take(self.control_len).all(|(one, other)| one == other)
    }

    /// The datagram and the place for its answer.
    pub(super) fn parts(&mut self) -> (&[u8], &mut [u8]) {
        (self.request.get(..self.request_len).unwrap_or_default(), self.reply.as_mut_slice())
    }

    /// Says how long the answer is; 0 for none.
    pub(super) fn answer(&mut self, len: usize) {
        self.reply_len = len;
    }

    /// Puts an answer that stands elsewhere into its place.
    #[cfg(test)]
    pub(super) fn answer_with(&mut self, octets: &[u8]) {
        if let Some(place) = self.reply.get_mut(..octets.len()) {
            place.copy_from_slice(octets);
            self.reply_len = octets.len();
        }
    }
}

/// Sends one answer by itself, without waiting for room in the socket's buffer.
pub(super) fn send_one(socket: &UdpSocket, octets: &[u8], envelope: &DatagramEnds) -> io::Result<()> {
    let control = envelope.control();
    // SAFETY: zero-is-valid.
    let mut vector: libc::iovec = unsafe { zeroed() };
    // The kernel only reads what it sends.
    vector.iov_base = octets.as_ptr().cast_mut().cast();
    vector.iov_len = octets.len();
    let header = message(&envelope.peer, std::slice::from_ref(&vector), &control.octets, control.len);
    // SAFETY: live-pointers (all of them are locals or borrowed), true-lengths.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The header of a message to send, which the kernel only reads. It points into its arguments and must not outlive them.
fn message(peer: &Octets<28>, vectors: &[libc::iovec], control: &Octets<CONTROL>, control_len: usize) -> libc::msghdr {
    // SAFETY: zero-is-valid.
    let mut header: libc::msghdr = unsafe { zeroed() };
    let v4 = family(&peer.0) == libc::AF_INET as u16;
    header.msg_name = peer.0.as_ptr().cast_mut().cast();
    header.msg_namelen = if v4 { 16 } else { 28 };
    header.msg_iov = vectors.as_ptr().cast_mut();
    header.msg_iovlen = vectors.len() as _;
    if control_len > 0 {
        header.msg_control = control.0.as_ptr().cast_mut().cast();
        header.msg_controllen = control_len as _;
    }
    header
}

/// Whether the system parts one message into datagrams. Older ones would take no notice of the wish.
fn has_segments(socket: &UdpSocket) -> bool {
    // No segments, unless a message asks for them.
    let size: libc::c_int = 0;
    // SAFETY: live-pointers (`size` is a local), true-lengths.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            (&raw const size).cast(),
            size_of::<libc::c_int>() as _,
        )
    };
    done == 0
}

/// Lets whoever waits on a socket wake after a time, or never by itself.
pub(super) fn wake_after(socket: &UdpSocket, limit: Option<Duration>) -> io::Result<()> {
    socket.set_read_timeout(limit)
}

/// Asks the kernel to say for each datagram which address it was sent to.
pub(super) fn ask_for_local_address(socket: &UdpSocket, v6: bool) -> io::Result<()> {
    let (level, option) =
        if v6 { (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO) } else { (libc::IPPROTO_IP, libc::IP_PKTINFO) };
    let on: libc::c_int = 1;
    // SAFETY: live-pointers (`on` is a local), true-lengths.
    let done = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), size_of::<libc::c_int>() as _)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

//----------- DatagramEnds ---------------------------------------------------

/// The sender of a datagram, and the address it was sent to.
#[derive(Clone, Copy)]
pub(super) struct DatagramEnds {
    peer: Octets<28>,
    local: Option<LocalAddress>,
}

/// The address that was asked, as the kernel said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LocalAddress {
    V4(Ipv4Addr),
    V6(Ipv6Addr, u32),
}

/// The header of a control message: length, level, type.
const HEADER: usize = size_of::<usize>() + 8;

impl DatagramEnds {
    /// Takes apart what the kernel wrote.
    fn read(peer: &[u8; 28], mut control: &[u8]) -> Option<Self> {
        if ![libc::AF_INET as u16, libc::AF_INET6 as u16].contains(&family(peer)) {
            return None;
        }
        let mut local = None;
        while let Some((head, _)) = control.split_at_checked(HEADER) {
            let len = usize::from_ne_bytes(*head.first_chunk()?);
            let level = i32::from_ne_bytes(*head.get(size_of::<usize>()..)?.first_chunk()?);
            let kind = i32::from_ne_bytes(*head.last_chunk()?);
            let Some(data) = control.get(HEADER..len) else { break };
            match (level, kind) {
                // The index of the interface, the address to answer from, the address in the packet.
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    local = data
                        .get(4..8)
                        .and_then(|octets| octets.first_chunk::<4>())
                        .map(|&o| LocalAddress::V4(o.into()));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    local = data.split_first_chunk::<16>().and_then(|(&address, index)| {
                        Some(LocalAddress::V6(address.into(), u32::from_ne_bytes(*index.first_chunk()?)))
                    });
                }
                _ => {}
            }
            control = control.get(len.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
        }
        Some(Self { peer: Octets(*peer), local })
    }

    /// The control message that makes the answer leave from the address that was asked.
    fn control(&self) -> ControlMessages {
        let mut octets = ControlMessages::new();
        match self.local {
            None => {}
            Some(LocalAddress::V4(address)) => {
                octets.header(12, libc::IPPROTO_IP, libc::IP_PKTINFO);
                octets.put(&[0; 4]);
                octets.put(&address.octets());
                octets.put(&[0; 4]);
            }
            Some(LocalAddress::V6(address, index)) => {
                octets.header(20, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO);
                octets.put(&address.octets());
                // An address of one link means nothing without its interface; for others the routes decide.
                octets.put(&if address.is_unicast_link_local() { index } else { 0 }.to_ne_bytes());
            }
        }
        octets.pad();
        octets
    }

    /// The sender. An IPv4 client of a socket for both families is shown as one.
    pub(super) fn peer(&self) -> SocketAddr {
        let octets = &self.peer.0;
        let port = u16::from_be_bytes([octets[2], octets[3]]);
        if family(octets) == libc::AF_INET as u16 {
            return (Ipv4Addr::new(octets[4], octets[5], octets[6], octets[7]), port).into();
        }
        let address = octets.get(8..24).and_then(|octets| octets.first_chunk::<16>()).copied().unwrap_or_default();
        let scope = octets.last_chunk::<4>().map_or(0, |&scope| u32::from_ne_bytes(scope));
        match IpAddr::from(address).to_canonical() {
            IpAddr::V4(v4) => (v4, port).into(),
            IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, scope).into(),
        }
    }

    /// The address that was asked, where the kernel said it.
    pub(super) fn local(&self) -> Option<IpAddr> {
        self.local.map(|local| match local {
            LocalAddress::V4(v4) => v4.into(),
            LocalAddress::V6(v6, _) => IpAddr::from(v6).to_canonical(),
        })
    }
}

fn family(peer: &[u8; 28]) -> u16 {
    u16::from_ne_bytes([peer[0], peer[1]])
}

/// Control messages under construction.
struct ControlMessages {
    octets: Octets<CONTROL>,
    len: usize,
}

impl ControlMessages {
    fn new() -> Self {
        Self { octets: Octets([0; CONTROL]), len: 0 }
    }

    fn header(&mut self, data: usize, level: i32, kind: i32) {
        self.put(&(HEADER + data).to_ne_bytes());
        self.put(&level.to_ne_bytes());
        self.put(&kind.to_ne_bytes());
    }

    /// The message is to leave as datagrams of so many octets, the last of which may be shorter.
    fn segments(&mut self, octets: usize) {
        self.header(2, libc::SOL_UDP, libc::UDP_SEGMENT);
        self.put(&(octets as u16).to_ne_bytes());
        self.pad();
    }

    /// Each message begins where a word does.
    fn pad(&mut self) {
        self.len = self.len.next_multiple_of(size_of::<usize>());
    }

    fn put(&mut self, octets: &[u8]) {
        if let Some(place) = self.octets.0.get_mut(self.len..self.len + octets.len()) {
            place.copy_from_slice(octets);
            self.len += octets.len();
        }
    }
}

//----------- Listeners ----------------------------------------------------------

/// Lets the system hand new connections to the second of two listeners at one address, which is the one that came last: the
/// first can then be emptied and closed, and resets nobody. The first alone gets them all, and of UDP sockets there is no
/// need to choose, as they are [left](super::sockets::leave) with what they have.
pub(super) fn prefer_second(listener: &std::net::TcpListener) {
    // RET 1: the place in the order of binding. A place that is not there leaves the choice to the system.
    let mut place = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 1 }];
    let program = libc::sock_fprog { len: 1, filter: place.as_mut_ptr() };
    // SAFETY: `live-pointers`: the program and its one instruction are borrowed for the call.
    let _ = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
}

//----------- Files ----------------------------------------------------------

/// Lets the process open as many files as it may at most, and says how many: what starts containers often leaves a limit
/// of 1,024 that few connections reach, far below the one that may be set.
pub(super) fn raise_file_limit() -> u64 {
    // SAFETY: `zero-is-valid`.
    let mut limit: libc::rlimit = unsafe { zeroed() };
    // SAFETY: `live-pointers`: the limit is borrowed for the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 1024;
    }
    // The kernel refuses more than this to everyone.
    let wanted = libc::rlimit { rlim_cur: limit.rlim_max.min(1 << 20), rlim_max: limit.rlim_max };
    // SAFETY: `live-pointers`: the limit is borrowed for the call.
    if limit.rlim_cur < wanted.rlim_cur && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) } == 0 {
        limit = wanted;
    }
    limit.rlim_cur
}

#[cfg(test)]
mod tests;
