//! A disk in memory that forgets what was not synced, as real ones do.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::{Disk, SegmentFile};

/// What was done to a simulated disk. Replaying them up to any point gives the disk of that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A segment was created.
    Create(u32),
    /// Bytes were appended to a segment.
    Append(u32, Vec<u8>),
    /// A segment was synced.
    Sync(u32),
    /// A segment was removed.
    Remove(u32),
    /// What was created and removed was synced.
    SyncNames,
}

/// What a loss of power does to what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// All of it had reached the disk, as after the mere end of a process.
    Kept,
    /// None of it had.
    Lost,
    /// So many of the first bytes of each segment's tail had, and names as they were made.
    Torn(usize),
    /// Each 512 bytes of it had, or had not and are zeros, as the bits of the number say.
    Holes(u64),
}

/// Segments in memory, with a record of all that was done to them, and failures on demand.
///
/// A clone is the same disk, so that a test keeps its hands on it.
#[derive(Debug, Clone, Default)]
pub struct Simulated {
    state: Arc<Mutex<State>>,
    released: Arc<Condvar>,
}

/// A segment of a [`Simulated`] disk.
#[derive(Debug)]
pub struct SimulatedFile {
    number: u32,
    disk: Simulated,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<u32, Vec<u8>>,
    history: Vec<Change>,
    quarantined: Vec<(u32, u64, Vec<u8>)>,
    /// Writes and syncs before one fails, and whether all fail from then on.
    fails_in: Option<u64>,
    stays_broken: bool,
    /// Syncs wait, and how many do now.
    held: bool,
    waiting: usize,
    /// Bytes that fit, the reserve among them.
    space: Option<usize>,
    reserved: usize,
}

impl Simulated {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk that `history` leaves after a loss of power.
    #[must_use]
    pub fn after(history: &[Change], tail: Tail) -> Self {
        let mut files: BTreeMap<u32, Remembered> = BTreeMap::new();
        let mut removed: BTreeMap<u32, Remembered> = BTreeMap::new();
        for change in history {
            match change {
                Change::Create(number) => _ = files.insert(*number, Remembered::default()),
                Change::Append(number, bytes) => {
                    files.entry(*number).or_default().bytes.extend_from_slice(bytes);
                }
                Change::Sync(number) => {
                    let file = files.entry(*number).or_default();
                    file.durable = file.bytes.len();
                }
                Change::Remove(number) => {
                    files.remove(number).into_iter().for_each(|file| _ = removed.insert(*number, file));
                }
                Change::SyncNames => {
                    removed.clear();
                    files.values_mut().for_each(|file| file.named = true);
                }
            }
        }
        if tail == Tail::Lost {
            files.extend(removed.into_iter().filter(|(_, file)| file.named));
            files.retain(|_, file| file.named);
        }
        let files: BTreeMap<_, _> =
            files.into_iter().map(|(number, file)| (number, file.after(tail, number))).collect();
        // What is left is durable: a crash may follow on the crash.
        let left = files.iter().flat_map(|(number, bytes)| {
            [Change::Create(*number), Change::Append(*number, bytes.clone()), Change::Sync(*number)]
        });
        let history = left.chain([Change::SyncNames]).collect();
        let state = State { files, history, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), ..Self::default() }
    }

    /// All that was done so far.
    #[must_use]
    pub fn history(&self) -> Vec<Change> {
        self.state.lock().history.clone()
    }

    /// The write or sync after the next `count` ones fails; all from then on, if it `stays` so.
    pub fn fail_in(&self, count: u64, stays: bool) {
        let mut state = self.state.lock();
        (state.fails_in, state.stays_broken) = (Some(count), stays);
    }

    /// Everything works again.
    pub fn mend(&self) {
        let mut state = self.state.lock();
        (state.fails_in, state.stays_broken) = (None, false);
    }

    /// From now on at most `bytes` fit, the reserve among them.
    pub fn limit(&self, bytes: Option<usize>) {
        self.state.lock().space = bytes;
    }

    /// Turns the bits of `mask` in one byte of a segment.
    pub fn damage(&self, number: u32, offset: usize, mask: u8) {
        let mut state = self.state.lock();
        state
            .files
            .get_mut(&number)
            .and_then(|file| file.get_mut(offset))
            .into_iter()
            .for_each(|byte| *byte ^= mask);
    }

    /// From now on syncs of segments wait until they are let go again.
    pub fn hold_syncs(&self, hold: bool) {
        self.state.lock().held = hold;
        self.released.notify_all();
    }

    /// How many syncs wait to be let go.
    #[must_use]
    pub fn held_syncs(&self) -> usize {
        self.state.lock().waiting
    }

    /// The bytes of a segment.
    #[must_use]
    pub fn bytes(&self, number: u32) -> Vec<u8> {
        self.state.lock().files.get(&number).cloned().unwrap_or_default()
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn used(&self) -> usize {
        self.state.lock().used()
    }

    /// The pieces that were kept aside.
    #[must_use]
    pub fn quarantined(&self) -> Vec<(u32, u64, Vec<u8>)> {
        self.state.lock().quarantined.clone()
    }
}

/// A file, and how much of it a loss of power leaves.
#[derive(Debug, Default)]
struct Remembered {
    bytes: Vec<u8>,
    durable: usize,
    named: bool,
}

impl Remembered {
    fn after(mut self, tail: Tail, number: u32) -> Vec<u8> {
        match tail {
            Tail::Kept => {}
            Tail::Lost => self.bytes.truncate(self.durable),
            Tail::Torn(bytes) => self.bytes.truncate(self.durable.saturating_add(bytes)),
            Tail::Holes(bits) => {
                let unsynced = self.bytes.iter_mut().enumerate().skip(self.durable);
                let lost = |block: usize| bits.rotate_right(block as u32 + number) & 1 == 0;
                unsynced.filter(|(at, _)| lost(at / 512)).for_each(|(_, byte)| *byte = 0);
            }
        }
        self.bytes
    }
}

impl State {
    fn used(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }

    /// An error if this is the write or sync that was to fail.
    fn step(&mut self) -> io::Result<()> {
        match &mut self.fails_in {
            Some(0) => {
                if !self.stays_broken {
                    self.fails_in = None;
                }
                Err(io::Error::other("the simulated disk fails"))
            }
            Some(count) => {
                *count -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn room(&self, bytes: usize) -> usize {
        self.space.map_or(bytes, |space| space.saturating_sub(self.used() + self.reserved).min(bytes))
    }
}

impl Disk for Simulated {
    type File = SimulatedFile;

    fn list(&self) -> io::Result<Vec<u32>> {
        Ok(self.state.lock().files.keys().copied().collect())
    }

    fn create(&mut self, number: u32) -> io::Result<SimulatedFile> {
        let mut state = self.state.lock();
        state.step()?;
        state.files.insert(number, Vec::new());
        state.history.push(Change::Create(number));
        Ok(SimulatedFile { number, disk: self.clone() })
    }

    fn open(&self, number: u32) -> io::Result<SimulatedFile> {
        match self.state.lock().files.contains_key(&number) {
            true => Ok(SimulatedFile { number, disk: self.clone() }),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn remove(&mut self, number: u32) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step()?;
        state.history.push(Change::Remove(number));
        state.files.remove(&number).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step()?;
        state.history.push(Change::SyncNames);
        Ok(())
    }

    fn quarantine(&mut self, number: u32, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.state.lock().quarantined.push((number, offset, bytes.to_vec()));
        Ok(())
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let bytes = usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
        state.reserved = 0;
        if state.room(bytes) < bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.reserved = bytes;
        Ok(())
    }

    fn release(&mut self) -> io::Result<()> {
        self.state.lock().reserved = 0;
        Ok(())
    }
}

impl SegmentFile for SimulatedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.step()?;
        let fits = state.room(bytes.len());
        let written = bytes.get(..fits).unwrap_or(bytes).to_vec();
        state.files.entry(self.number).or_default().extend_from_slice(&written);
        state.history.push(Change::Append(self.number, written));
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.waiting += 1;
        while state.held {
            self.disk.released.wait(&mut state);
        }
        state.waiting -= 1;
        state.step()?;
        state.history.push(Change::Sync(self.number));
        Ok(())
    }

    fn duplicate(&self) -> io::Result<Self> {
        Ok(Self { number: self.number, disk: self.disk.clone() })
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state.lock();
        let bytes = state.files.get(&self.number).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let rest = bytes.get(from..).unwrap_or_default();
        let len = rest.len().min(out.len());
        out.iter_mut().zip(rest).for_each(|(out, byte)| *out = *byte);
        Ok(len)
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.disk.state.lock();
        Ok(state.files.get(&self.number).ok_or(io::ErrorKind::NotFound)?.len() as u64)
    }
}
