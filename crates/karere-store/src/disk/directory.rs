//! A folder of the file system.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process;

use super::{Disk, SegmentFile};
use crate::error::OpenError;

/// The segments of a store as files of a folder that is ours alone: `0000000001.log` and so on.
///
/// The folder is locked as long as this lives. Its files are readable by their owner only: they hold what people
/// sent each other.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Locked; and it names us.
    lock: File,
}

const LOCK: &str = "lock";
const RESERVE: &str = "reserve";
const SUFFIX: &str = ".log";
/// Written at a time to fill the reserve.
static BLOCK: [u8; 64 * 1024] = [0; 64 * 1024];

impl Directory {
    /// Takes the folder at `path`, and makes it if there is none.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when somebody else has it, [`OpenError::Io`] when it cannot be made or written.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(path).map_err(failed(path, "made"))?;
        let lock = private()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK))
            .map_err(failed(path, "written to"))?;
        let mut directory = Self { path: path.to_owned(), lock };
        directory.lock()?;
        Ok(directory)
    }

    fn lock(&mut self) -> Result<(), OpenError> {
        match self.lock.try_lock() {
            Ok(()) => name_us(&mut self.lock).map_err(failed(&self.path, "written to")),
            Err(TryLockError::WouldBlock) => {
                Err(OpenError::Locked { path: self.path.clone(), holder: holder(&mut self.lock) })
            }
            Err(TryLockError::Error(source)) => Err(failed(&self.path, "locked")(source)),
        }
    }

    fn segment(&self, number: u32) -> PathBuf {
        self.path.join(format!("{number:010}{SUFFIX}"))
    }
}

impl Disk for Directory {
    type File = File;

    fn list(&self) -> io::Result<Vec<u32>> {
        let names = fs::read_dir(&self.path)?.map(|entry| entry.map(|entry| entry.file_name()));
        let number = |name: &str| name.strip_suffix(SUFFIX)?.parse().ok();
        names.filter_map(|name| name.map(|name| number(name.to_str()?)).transpose()).collect()
    }

    fn create(&mut self, number: u32) -> io::Result<File> {
        private().read(true).write(true).create(true).truncate(true).open(self.segment(number))
    }

    fn open(&self, number: u32) -> io::Result<File> {
        File::open(self.segment(number))
    }

    fn remove(&mut self, number: u32) -> io::Result<()> {
        fs::remove_file(self.segment(number))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        // Windows has no such thing: there a name is durable with its file.
        if cfg!(unix) { File::open(&self.path)?.sync_all() } else { Ok(()) }
    }

    fn quarantine(&mut self, number: u32, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let name = format!("{number:010}-{offset}.damaged");
        private().write(true).create(true).truncate(true).open(self.path.join(name))?.write_all(bytes)
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let path = self.path.join(RESERVE);
        if fs::metadata(&path).is_ok_and(|found| found.len() == bytes) {
            return Ok(());
        }
        let filled =
            private().write(true).create(true).truncate(true).open(&path).and_then(|file| fill(file, bytes));
        filled.inspect_err(|_| _ = fs::remove_file(&path))
    }

    fn release(&mut self) -> io::Result<()> {
        match fs::remove_file(self.path.join(RESERVE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn let_go(&mut self) {
        // It goes with the file at the latest.
        _ = self.lock.unlock();
    }

    fn take_again(&mut self) -> Result<(), OpenError> {
        self.lock()
    }
}

impl SegmentFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn duplicate(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = out.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match read_once(self, rest, offset + read as u64) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

fn failed(path: &Path, what: &str) -> impl FnOnce(io::Error) -> OpenError + use<> {
    let what = format!("{} cannot be {what}", path.display());
    move |source| OpenError::Io { what, source }
}

/// Files that their owner alone may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn read_once(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_at(file, out, offset);
    #[cfg(windows)]
    return std::os::windows::fs::FileExt::seek_read(file, out, offset);
}

fn name_us(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(process::id().to_string().as_bytes())
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.rewind().and_then(|()| lock.take(32).read_to_string(&mut text));
    match read {
        Ok(_) if text.parse::<u32>().is_ok() => format!("process {text}"),
        _ => "another process".to_owned(),
    }
}

/// With bytes and not with a hole, so that the space is really there.
fn fill(mut file: File, bytes: u64) -> io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK.len());
        file.write_all(BLOCK.get(..len).unwrap_or_default())?;
        left -= len as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_in_use_names_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = Directory::open(folder.path()).unwrap();
        let refused = Directory::open(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", process::id())), "{refused}");
        drop(first);
        Directory::open(folder.path()).unwrap();
    }

    #[test]
    fn segments_grow_are_read_and_listed_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Directory::open(&folder.path().join("new/folder")).unwrap();
        let mut file = disk.create(7).unwrap();
        file.append(b"one").unwrap();
        file.append(b"two").unwrap();
        file.sync().unwrap();
        disk.sync_names().unwrap();
        let mut out = [0; 8];
        assert_eq!(SegmentFile::read_at(&disk.open(7).unwrap(), 2, &mut out).unwrap(), 4);
        assert_eq!(&out[..4], b"etwo");
        assert_eq!((disk.list().unwrap(), file.size().unwrap()), (vec![7], 6));
        disk.remove(7).unwrap();
        assert!(disk.list().unwrap().is_empty());
    }

    #[test]
    fn the_reserve_takes_its_space_and_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Directory::open(folder.path()).unwrap();
        disk.reserve(100_000).unwrap();
        assert_eq!(fs::metadata(folder.path().join(RESERVE)).unwrap().len(), 100_000);
        disk.release().unwrap();
        disk.release().unwrap();
        assert!(!folder.path().join(RESERVE).exists());
    }
}
