//! What goes wrong with a store, and who is to do what about it.

use std::io;
use std::path::PathBuf;

/// A store that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Somebody else has it open.
    #[error("{} is in use by {holder}: stop it, or choose another folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who has it, as far as is known: "process 1234".
        holder: String,
    },
    /// It was written by a newer release.
    #[error(
        "segment {segment} has format {format}, and this release reads up to {}: use the newer release",
        crate::frame::FORMAT
    )]
    Newer {
        /// The segment.
        segment: u32,
        /// Its format.
        format: u16,
    },
    /// A segment is missing between the oldest and the newest one, or is another store's.
    #[error("segment {segment} is missing or belongs to another store: restore the folder from its backup")]
    Missing {
        /// The segment.
        segment: u32,
    },
    /// Somebody else has used it since it was let go.
    #[error("the store has been used by somebody else since: open it anew")]
    Changed,
    /// The disk does not do what it is asked.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: io::Error,
    },
}

/// A store that cannot go on as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A write or a sync failed: what was appended since the last one that succeeded is in doubt, and is never to be
    /// acknowledged. [`Log::recover`](crate::Log::recover) writes it anew when the disk works again.
    #[error("the disk failed: {0}")]
    Failed(#[from] io::Error),
    /// An earlier write or sync failed, and [`Log::recover`](crate::Log::recover) has not succeeded since.
    #[error("the store takes no more until its disk works again")]
    Failing,
    /// A batch of more than 1 GiB.
    #[error("a batch of {0} bytes; at most 1 GiB is one")]
    TooLarge(usize),
    /// What the index points to is not there any more: the file has been changed by somebody else.
    #[error("segment {segment} is damaged at byte {offset}")]
    Damaged {
        /// The segment.
        segment: u32,
        /// Where.
        offset: u64,
    },
}

/// A piece of a segment that is no frame, though it once was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u32,
    /// Where the piece begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len: u64,
}
