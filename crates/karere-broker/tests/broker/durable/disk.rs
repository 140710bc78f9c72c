//! A disk in memory whose syncs the test holds, and whose power it takes away.

use std::io;
use std::sync::Arc;

use karere_broker::{BrokerHandle, Builder};
use karere_store::{Change, Disk, Key, Log, Options, SegmentFile, Simulated, SimulatedFile, Tail};
use parking_lot::{Condvar, Mutex};

use crate::client::builder;

/// A simulated disk. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestDisk {
    pub(crate) disk: Simulated,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    held: Mutex<bool>,
    changed: Condvar,
}

#[derive(Debug)]
pub(crate) struct TestFile {
    file: SimulatedFile,
    gate: Arc<Gate>,
}

impl TestDisk {
    /// A broker on this disk.
    pub(crate) async fn broker(&self) -> BrokerHandle {
        self.with(builder()).await
    }

    pub(crate) async fn with(&self, builder: Builder) -> BrokerHandle {
        let options = Options { reserve_bytes: 0, ..Options::default() };
        builder.store_on(self.clone(), options).start().await.unwrap()
    }

    /// From now on no sync ends.
    pub(crate) fn hold(&self) {
        *self.gate.held.lock() = true;
    }

    pub(crate) fn release(&self) {
        *self.gate.held.lock() = false;
        self.gate.changed.notify_all();
    }

    /// What is left of it when the power goes now.
    pub(crate) fn crash(&self) -> Self {
        Self::left(&self.disk.history())
    }

    /// The keys that are left after the power has gone at the end of `history`.
    pub(crate) fn keys_left(history: &[Change], table: u8) -> Vec<Key> {
        let log = Log::open(Self::left(history).disk.clone(), Options::default()).unwrap().0;
        log.keys(|key| key.table == table)
    }

    pub(crate) fn left(history: &[Change]) -> Self {
        Self { disk: Simulated::after(history, Tail::Lost), gate: Arc::default() }
    }
}

/// A test that fails is not to hang on a disk that it has held.
impl Drop for TestDisk {
    fn drop(&mut self) {
        let _ = self.release();
    }
}

impl Disk for TestDisk {
    type File = TestFile;

    fn list(&self) -> io::Result<Vec<u32>> {
        self.disk.list()
    }

    fn create(&mut self, number: u32) -> io::Result<TestFile> {
        let gate = self.gate.clone();
        self.disk.create(number).map(|file| TestFile { file, gate })
    }

    fn open(&self, number: u32) -> io::Result<TestFile> {
        let gate = self.gate.clone();
        self.disk.open(number).map(|file| TestFile { file, gate })
    }

    fn remove(&mut self, number: u32) -> io::Result<()> {
        self.disk.remove(number)
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.disk.sync_names()
    }

    fn quarantine(&mut self, number: u32, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.quarantine(number, offset, bytes)
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        self.disk.reserve(bytes)
    }

    fn release(&mut self) -> io::Result<()> {
        self.disk.release()
    }
}

impl SegmentFile for TestFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut held = self.gate.held.lock();
        while *held {
            self.gate.changed.wait(&mut held);
        }
        drop(held);
        self.file.sync()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, out)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn duplicate(&self) -> io::Result<Self> {
        self.file.duplicate().map(|file| Self { file, gate: self.gate.clone() })
    }
}
