//! The octets of a snapshot: a head, blocks of facts in postcard's format packed by LZ4, and a checksum over all of it.
//!
//! ```text
//! "rollcall snapshot\n"   VERSION: u16   length of the head: u32   the head   blocks   SHA-256 of everything before
//! block: its length: u32, its length packed: u32, the packed octets; the last one is empty
//! ```
//!
//! Numbers are little-endian. A block holds whole groups of facts ([`DatedFact`]), so that whoever reads needs one block
//! at a time. Everything is bounded before room is made for it.

use std::fmt;
use std::io::{self, Write};

use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN, digest};
use serde::{Deserialize, Serialize};

use super::records::StoredFact;
use crate::cluster::index::DatedFact;

/// The version of the format. A server reads its own alone: the first lists are never far.
pub const VERSION: u16 = 1;

const MAGIC: &[u8] = b"rollcall snapshot\n";

/// The longest file that is read: thirty times what 100,000 endpoints take.
pub(super) const LONGEST: u64 = 32 << 20;

/// The longest head.
const HEAD: usize = 64 << 10;

/// A block ends once it has so many octets.
const BLOCK: usize = 256 << 10;

/// The longest block, and with it the largest group: a Service of some 250,000 endpoints.
const LONGEST_BLOCK: usize = 8 << 20;

/// The most octets of all blocks together.
const MOST: usize = 128 << 20;

/// The head of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The cluster that it is of: the address of its API server and the certificate of that.
    pub cluster: String,
    /// What was asked of it.
    pub settings: String,
    /// The Unix second up to which all in it was known to be true.
    pub true_at: u64,
}

/// The reason why a snapshot is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be read.
    Unreadable(String),
    /// It is not whole, or not as it was written.
    Damaged(&'static str),
    /// It has another format than this version of the server knows.
    Format(u16),
    /// It is of another cluster.
    Cluster(String),
    /// Something else was asked of the cluster.
    Settings(String),
    /// It is so many seconds old.
    Old(u64),
    /// It is from so many seconds ahead.
    Future(u64),
}

impl Refusal {
    /// The words for metrics.
    pub(super) const WORDS: [&str; 7] = ["unreadable", "damaged", "format", "cluster", "settings", "old", "future"];

    /// The word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Damaged(_) => "damaged",
            Self::Format(_) => "format",
            Self::Cluster(_) => "cluster",
            Self::Settings(_) => "settings",
            Self::Old(_) => "old",
            Self::Future(_) => "future",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => f.write_str(why),
            Self::Damaged(how) => write!(f, "it is damaged: {how}"),
            Self::Format(version) => write!(f, "it has format {version}, this version of rollcall has {VERSION}"),
            Self::Cluster(other) => write!(f, "it is of another cluster, {other}"),
            Self::Settings(other) => write!(f, "something else was asked of the cluster: {other}"),
            Self::Old(seconds) => {
                write!(f, "it was last true {seconds} s ago, more than -rollcall.snapshot-max-age allows")
            }
            Self::Future(seconds) => {
                write!(f, "it is from {seconds} s ahead: the clock was set back, or another machine's was wrong")
            }
        }
    }
}

impl std::error::Error for Refusal {}

//----------- Encoder --------------------------------------------------------

/// Writes a snapshot, block by block.
pub struct Encoder<W> {
    out: W,
    checksum: Context,
    block: Vec<u8>,
    written: u64,
    /// The octets of the blocks before they were packed.
    unpacked: usize,
}

impl<W: Write> Encoder<W> {
    /// Begins a snapshot.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(out: W, head: &Head) -> io::Result<Self> {
        let mut encoder = Self { out, checksum: Context::new(&SHA256), block: Vec::new(), written: 0, unpacked: 0 };
        let head = postcard::to_stdvec(head).map_err(io::Error::other)?;
        if head.len() > HEAD {
            return Err(io::Error::other("its head is too long"));
        }
        encoder.write(MAGIC)?;
        encoder.write(&VERSION.to_le_bytes())?;
        encoder.write(&length(head.len()))?;
        encoder.write(&head)?;
        Ok(encoder)
    }

    /// Adds a group of facts.
    ///
    /// # Errors
    /// When it cannot be written, or the whole would be larger than is read.
    pub fn push(&mut self, group: &[DatedFact]) -> io::Result<()> {
        let facts: Vec<StoredFact<'_>> = group.iter().map(StoredFact::from).collect();
        self.block = postcard::to_extend(&facts, std::mem::take(&mut self.block)).map_err(io::Error::other)?;
        if self.block.len() >= BLOCK {
            self.end_block()?;
        }
        Ok(())
    }

    /// Ends the snapshot; gives the number of octets.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<u64> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        self.write(&length(0))?;
        let checksum = self.checksum.clone().finish();
        self.write(checksum.as_ref())?;
        self.out.flush()?;
        Ok(self.written)
    }

    fn end_block(&mut self) -> io::Result<()> {
        let mut block = std::mem::take(&mut self.block);
        self.unpacked += block.len();
        if block.len() > LONGEST_BLOCK || self.unpacked > MOST || self.written > LONGEST / 2 {
            return Err(io::Error::other("the cluster is larger than a snapshot may be"));
        }
        let packed = lz4_flex::block::compress(&block);
        self.write(&length(block.len()))?;
        self.write(&length(packed.len()))?;
        self.write(&packed)?;
        block.clear();
        self.block = block;
        Ok(())
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.checksum.update(octets);
        self.written += octets.len() as u64;
        self.out.write_all(octets)
    }
}

impl<W> fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("written", &self.written).finish_non_exhaustive()
    }
}

/// A length that was held against a bound that fits.
fn length(octets: usize) -> [u8; 4] {
    u32::try_from(octets).unwrap_or(u32::MAX).to_le_bytes()
}

//----------- Snapshot -------------------------------------------------------

/// A snapshot whose checksum is right.
#[derive(Debug)]
pub struct Snapshot<'o> {
    /// Its head.
    pub head: Head,
    blocks: &'o [u8],
}

impl<'o> Snapshot<'o> {
    /// Looks at the octets of a file.
    ///
    /// # Errors
    /// When they are not as they were written, or of another format.
    pub fn open(octets: &'o [u8]) -> Result<Self, Refusal> {
        let rest = octets.strip_prefix(MAGIC).ok_or(Refusal::Damaged("it does not begin as a snapshot does"))?;
        let (version, rest) = rest.split_first_chunk().ok_or(CUT)?;
        match u16::from_le_bytes(*version) {
            VERSION => {}
            other => return Err(Refusal::Format(other)),
        }
        let (body, checksum) = octets.split_last_chunk::<SHA256_OUTPUT_LEN>().ok_or(CUT)?;
        if digest(&SHA256, body).as_ref() != checksum {
            return Err(Refusal::Damaged("its checksum is another"));
        }
        let rest = rest.get(..rest.len().saturating_sub(SHA256_OUTPUT_LEN)).ok_or(CUT)?;
        let (head, blocks) = take(rest, HEAD)?;
        let head = postcard::from_bytes(head).map_err(|_| Refusal::Damaged("its head cannot be read"))?;
        Ok(Self { head, blocks })
    }

    /// The groups of facts, block by block.
    pub fn blocks(&self) -> Blocks<'o> {
        Blocks { rest: Some(self.blocks), unpacked: 0 }
    }
}

const CUT: Refusal = Refusal::Damaged("it is cut off");
const UNREADABLE: Refusal = Refusal::Damaged("a block cannot be read");

/// Takes a length of at most `most`, and as many octets.
fn take(octets: &[u8], most: usize) -> Result<(&[u8], &[u8]), Refusal> {
    let (length, rest) = number(octets)?;
    if length > most {
        return Err(Refusal::Damaged("a length in it is too large"));
    }
    rest.split_at_checked(length).ok_or(CUT)
}

fn number(octets: &[u8]) -> Result<(usize, &[u8]), Refusal> {
    let (number, rest) = octets.split_first_chunk().ok_or(CUT)?;
    Ok((u32::from_le_bytes(*number) as usize, rest))
}

/// The blocks of a snapshot, one after the other; nothing comes after a fault.
#[derive(Debug)]
pub struct Blocks<'o> {
    rest: Option<&'o [u8]>,
    unpacked: usize,
}

impl Blocks<'_> {
    fn read(&mut self) -> Result<Option<Vec<Vec<DatedFact>>>, Refusal> {
        let Some(octets) = self.rest.take() else { return Ok(None) };
        let (length, rest) = number(octets)?;
        if length == 0 {
            return if rest.is_empty() { Ok(None) } else { Err(Refusal::Damaged("octets follow its end")) };
        }
        self.unpacked += length;
        if length > LONGEST_BLOCK || self.unpacked > MOST {
            return Err(Refusal::Damaged("a length in it is too large"));
        }
        let (packed, rest) = take(rest, LONGEST_BLOCK)?;
        let block = lz4_flex::block::decompress(packed, length).map_err(|_| UNREADABLE)?;
        let (mut octets, mut groups) = (block.as_slice(), Vec::new());
        while !octets.is_empty() {
            let (facts, more) = postcard::take_from_bytes::<Vec<StoredFact<'_>>>(octets).map_err(|_| UNREADABLE)?;
            let facts = facts.into_iter().map(StoredFact::into_fact).collect::<Result<_, _>>();
            groups.push(facts.map_err(|_| UNREADABLE)?);
            octets = more;
        }
        self.rest = Some(rest);
        Ok(Some(groups))
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<Vec<Vec<DatedFact>>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
