//! The bytes under a store: a folder of segments that grow and never change.

mod directory;
mod simulated;

use std::io;

use crate::error::OpenError;

pub use directory::Directory;
pub use simulated::{Change, Simulated, SimulatedFile, Tail};

/// A folder of segments, each named by a number.
pub trait Disk: Send + 'static {
    /// A segment.
    type File: SegmentFile;

    /// The numbers of all segments, in any order.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<u32>>;

    /// A new segment, in place of one that may have that number.
    ///
    /// # Errors
    /// What the system says.
    fn create(&mut self, number: u32) -> io::Result<Self::File>;

    /// A segment to read.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, number: u32) -> io::Result<Self::File>;

    /// Removes a segment.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&mut self, number: u32) -> io::Result<()>;

    /// Returns when what was created and removed is durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_names(&mut self) -> io::Result<()>;

    /// Keeps a damaged piece of a segment aside, for people to look at.
    ///
    /// # Errors
    /// What the system says.
    fn quarantine(&mut self, number: u32, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Keeps `bytes` of space back for when the disk is full. Does nothing when they are kept already.
    ///
    /// # Errors
    /// There is not so much.
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;

    /// Gives back what [`reserve`](Self::reserve) keeps.
    ///
    /// # Errors
    /// What the system says.
    fn release(&mut self) -> io::Result<()>;

    /// Nothing is written or read any more: somebody else may have the folder.
    fn let_go(&mut self) {}

    /// Takes the folder again, after [`let_go`](Self::let_go).
    ///
    /// # Errors
    /// [`OpenError::Locked`] and [`OpenError::Io`].
    fn take_again(&mut self) -> Result<(), OpenError> {
        Ok(())
    }
}

/// A segment.
pub trait SegmentFile: Send + 'static {
    /// Writes `bytes` behind what is there. After an error, some of them may be there.
    ///
    /// # Errors
    /// What the system says; the segment is not to be appended to again.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when all that was appended is durable.
    ///
    /// # Errors
    /// What the system says; what was appended since the last sync is in doubt for ever, since a second sync
    /// may succeed without having written it.
    fn sync(&mut self) -> io::Result<()>;

    /// The same segment once more, to be synced by another thread while this one appends. An error of a sync is seen by
    /// one of the two only.
    ///
    /// # Errors
    /// What the system says.
    fn duplicate(&self) -> io::Result<Self>
    where
        Self: Sized;

    /// Reads from `offset` as much as there is, at most `out`. Returns how many bytes.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;

    /// How many bytes there are.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> io::Result<u64>;
}
