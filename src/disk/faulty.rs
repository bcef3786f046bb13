//! A disk in memory that fails, tears and forgets, for tests of everything that must survive a real one doing so.
//!
//! ```
//! use skep::disk::faulty::{FaultyDisk, Survival};
//! let faulty = FaultyDisk::new();
//! let disk = faulty.disk();
//! let file = disk.create_new("/a".as_ref(), 0o600)?;
//! file.write_all_at(b"never synced", 0)?;
//! faulty.power_loss(Survival::Nothing);
//! assert!(disk.open_read("/a".as_ref()).is_err());
//! # Ok::<(), std::io::Error>(())
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;

use super::{Disk, DiskBackend, FileBackend, FileInfo, OpenMode};

/// What a disk stores as a whole or not at all.
const SECTOR_BYTES: usize = 512;

/// The test's side of such a disk: it causes what goes wrong. Clones are the same disk.
#[derive(Clone, Default)]
pub struct FaultyDisk(Arc<Mutex<State>>);

/// What a power cut leaves of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// Nothing of it.
    Nothing,
    /// All of it.
    Everything,
    /// Some sectors of some writes, and the first few changes of each directory, chosen by this seed.
    Some(u64),
}

/// What goes wrong at a chosen call.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Error(Errno),
    ErrorsForever(Errno),
    /// Of a write so many bytes are stored before it fails; any other call just fails.
    Tear(usize),
}

#[derive(Default)]
struct State {
    calls: u64,
    fault: Option<(u64, Fault)>,
    sync_fault: Option<Errno>,
    capacity_bytes: Option<u64>,
    syncs_lie: bool,
    /// Files opened before a power cut are dead.
    boots: u64,
    now: Duration,
    files: BTreeMap<u64, Content>,
    names: BTreeMap<PathBuf, Entry>,
    durable_names: BTreeMap<PathBuf, Entry>,
    changes: Vec<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Dir,
    File(u64),
}

/// An unsynced change of a directory.
#[derive(Debug, Clone)]
struct Change {
    dir: PathBuf,
    removed: Option<PathBuf>,
    added: Option<(PathBuf, Entry)>,
}

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Unsynced>,
    modified: Duration,
    is_read_only: bool,
    /// How many times it is open: a removed file lives as long as somebody has it open.
    handles: usize,
}

enum Unsynced {
    Write(usize, Vec<u8>),
    Len(usize),
}

impl FaultyDisk {
    /// An empty disk with a root directory, on which nothing goes wrong yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The code's side of it.
    pub fn disk(&self) -> Disk {
        Disk::new(Arc::new(self.clone()))
    }

    /// How many calls were made so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Lets the `n`-th call from now fail with this error; 1 is the next one.
    pub fn fail_call(&self, n: u64, error: Errno) {
        let mut state = self.state();
        state.fault = Some((state.calls + n, Fault::Error(error)));
    }

    /// Lets the next sync of a file fail with this error.
    pub fn fail_next_sync(&self, error: Errno) {
        self.state().sync_fault = Some(error);
    }

    /// Lets the `n`-th call from now and all later ones fail with this error, until `heal`.
    pub fn fail_from(&self, n: u64, error: Errno) {
        let mut state = self.state();
        state.fault = Some((state.calls + n, Fault::ErrorsForever(error)));
    }

    /// Lets the `n`-th call from now, if it is a write, store so many bytes and fail.
    pub fn tear_call(&self, n: u64, bytes_stored: usize) {
        let mut state = self.state();
        state.fault = Some((state.calls + n, Fault::Tear(bytes_stored)));
    }

    /// Nothing goes wrong any more, unless the disk is full.
    pub fn heal(&self) {
        let mut state = self.state();
        state.fault = None;
        state.sync_fault = None;
        state.syncs_lie = false;
    }

    /// Limits what all files together may hold.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity_bytes = bytes;
    }

    /// Lets syncs of files succeed without doing anything: to see that a test would notice a missing one.
    pub fn let_syncs_lie(&self) {
        self.state().syncs_lie = true;
    }

    /// Sets the time that files are stamped with, since the epoch.
    pub fn set_time(&self, now: Duration) {
        self.state().now = now;
    }

    /// Cuts the power: unsynced writes and unsynced directory entries are forgotten as far as told, open files are dead.
    pub fn power_loss(&self, survival: Survival) {
        let mut state = self.state();
        let mut luck = Luck::new(survival);
        state.boots += 1;
        state.fault = None;
        for content in state.files.values_mut() {
            content.handles = 0;
            for change in std::mem::take(&mut content.unsynced) {
                change.survive(&mut content.durable, &mut luck);
            }
            content.now = content.durable.clone();
        }
        // The changes of one directory reach the disk in their order.
        let mut cut: BTreeMap<PathBuf, bool> = BTreeMap::new();
        for change in std::mem::take(&mut state.changes) {
            let is_cut = cut.entry(change.dir.clone()).or_default();
            *is_cut = *is_cut || !luck.draw();
            if !*is_cut {
                change.apply(&mut state.durable_names);
            }
        }
        let mut names = state.durable_names.clone();
        let is_dir = |dir: &Path| {
            dir.ancestors().all(|dir| {
                dir.parent().is_none() || state.durable_names.get(dir) == Some(&Entry::Dir)
            })
        };
        names.retain(|path, _| path.parent().is_some_and(is_dir));
        state.durable_names = names.clone();
        state.names = names;
        state.drop_unnamed();
    }

    /// What a file holds now.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let id = state.file(path).ok()?;
        state.files.get(&id).map(|content| content.now.clone())
    }

    /// Puts a file there, durable, whatever was there before.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let id = state.files.keys().next_back().map_or(1, |last| last + 1);
        let content = Content {
            now: bytes.to_vec(),
            durable: bytes.to_vec(),
            modified: state.now,
            ..Content::default()
        };
        state.files.insert(id, content);
        for dir in path.ancestors().skip(1) {
            if dir.parent().is_some() {
                state.names.insert(dir.to_path_buf(), Entry::Dir);
                state.durable_names.insert(dir.to_path_buf(), Entry::Dir);
            }
        }
        state.names.insert(path.to_path_buf(), Entry::File(id));
        state
            .durable_names
            .insert(path.to_path_buf(), Entry::File(id));
        state.drop_unnamed();
    }

    /// All files there are now.
    pub fn paths(&self) -> Vec<PathBuf> {
        let state = self.state();
        let files = state
            .names
            .iter()
            .filter(|(_, entry)| matches!(entry, Entry::File(_)));
        files.map(|(path, _)| path.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and lets it fail if it is its turn.
    fn call(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        match state.count()? {
            None => Ok(state),
            Some(_) => Err(Errno::IO.into()),
        }
    }
}

impl State {
    /// Counts a call; the bytes to store first if it is a write to be torn.
    fn count(&mut self) -> io::Result<Option<usize>> {
        self.calls += 1;
        match self.fault {
            Some((at, Fault::ErrorsForever(error))) if at <= self.calls => Err(error.into()),
            Some((at, fault)) if at == self.calls => {
                self.fault = None;
                match fault {
                    Fault::Error(error) | Fault::ErrorsForever(error) => Err(error.into()),
                    Fault::Tear(bytes) => Ok(Some(bytes)),
                }
            }
            _ => Ok(None),
        }
    }

    fn file(&self, path: &Path) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Entry::File(id)) => Ok(*id),
            Some(Entry::Dir) => Err(Errno::ISDIR.into()),
            None => Err(Errno::NOENT.into()),
        }
    }

    fn check_dir(&self, dir: &Path) -> io::Result<()> {
        match self.names.get(dir) {
            Some(Entry::Dir) => Ok(()),
            Some(Entry::File(_)) => Err(Errno::NOTDIR.into()),
            None if dir.parent().is_none() => Ok(()),
            None => Err(Errno::NOENT.into()),
        }
    }

    fn change(&mut self, removed: Option<&Path>, added: Option<(&Path, Entry)>) {
        let named = added.map(|(path, _)| path).or(removed);
        let change = Change {
            dir: named
                .and_then(Path::parent)
                .unwrap_or(Path::new("/"))
                .to_path_buf(),
            removed: removed.map(Path::to_path_buf),
            added: added.map(|(path, entry)| (path.to_path_buf(), entry)),
        };
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn used_bytes(&self) -> u64 {
        self.files.values().map(|c| c.now.len() as u64).sum()
    }

    /// How long a file may become.
    fn len_max(&self, content: &Content) -> usize {
        self.capacity_bytes.map_or(usize::MAX, |capacity| {
            content.now.len() + capacity.saturating_sub(self.used_bytes()) as usize
        })
    }

    /// Frees the content nothing can reach any more, now or after a power cut.
    fn drop_unnamed(&mut self) {
        let State {
            files,
            names,
            durable_names,
            changes,
            ..
        } = self;
        files.retain(|id, content| {
            let is_it = |entry: &Entry| *entry == Entry::File(*id);
            content.handles > 0
                || names.values().any(is_it)
                || durable_names.values().any(is_it)
                || changes
                    .iter()
                    .any(|change| change.added.as_ref().is_some_and(|added| is_it(&added.1)))
        });
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Entry>) {
        if let Some(path) = &self.removed {
            names.remove(path);
        }
        if let Some((path, entry)) = &self.added {
            names.insert(path.clone(), *entry);
        }
    }
}

impl Unsynced {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, written) => overwrite(bytes, *offset, written),
            Self::Len(len) => bytes.resize(*len, 0),
        }
    }

    fn survive(&self, bytes: &mut Vec<u8>, luck: &mut Luck) {
        match self {
            Self::Len(_) => {
                if luck.draw() {
                    self.apply(bytes);
                }
            }
            Self::Write(offset, written) => {
                let mut at = 0;
                while at < written.len() {
                    let sector_end = (offset + at) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES;
                    let to = (sector_end - offset).min(written.len());
                    if luck.draw() {
                        overwrite(bytes, offset + at, &written[at..to]);
                    }
                    at = to;
                }
            }
        }
    }
}

fn overwrite(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

/// Decides what survives, the same way for the same seed.
struct Luck {
    survival: Survival,
    state: u64,
}

impl Luck {
    fn new(survival: Survival) -> Self {
        let state = match survival {
            Survival::Some(seed) => seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            _ => 1,
        };
        Self { survival, state }
    }

    fn draw(&mut self) -> bool {
        match self.survival {
            Survival::Nothing => false,
            Survival::Everything => true,
            Survival::Some(_) => {
                self.state ^= self.state << 13;
                self.state ^= self.state >> 7;
                self.state ^= self.state << 17;
                self.state >> 63 == 1
            }
        }
    }
}

impl DiskBackend for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn FileBackend>> {
        let mut state = self.call()?;
        let id = match mode {
            OpenMode::Read => state.file(path)?,
            OpenMode::ReadWrite => {
                let id = state.file(path)?;
                if state.files.get(&id).is_some_and(|c| c.is_read_only) {
                    return Err(Errno::ACCESS.into());
                }
                id
            }
            OpenMode::CreateNew(_) => {
                if state.names.contains_key(path) {
                    return Err(Errno::EXIST.into());
                }
                state.check_dir(path.parent().unwrap_or(Path::new("/")))?;
                let id = state.files.keys().next_back().map_or(1, |last| last + 1);
                let content = Content {
                    modified: state.now,
                    ..Content::default()
                };
                state.files.insert(id, content);
                state.change(None, Some((path, Entry::File(id))));
                id
            }
        };
        if let Some(content) = state.files.get_mut(&id) {
            content.handles += 1;
        }
        Ok(Arc::new(FaultyFile {
            disk: self.clone(),
            id,
            boots: state.boots,
            is_writable: mode != OpenMode::Read,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        let id = state.file(from)?;
        state.change(Some(from), Some((to, Entry::File(id))));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        state.file(path)?;
        state.change(Some(path), None);
        state.drop_unnamed();
        Ok(())
    }

    fn create_dir(&self, path: &Path, _mode: u32) -> io::Result<()> {
        let mut state = self.call()?;
        if state.names.contains_key(path) {
            return Err(Errno::EXIST.into());
        }
        state.check_dir(path.parent().unwrap_or(Path::new("/")))?;
        state.change(None, Some((path, Entry::Dir)));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        state.check_dir(path)?;
        let mut changes = std::mem::take(&mut state.changes);
        changes.retain(|change| {
            let is_synced = change.dir == path;
            if is_synced {
                change.apply(&mut state.durable_names);
            }
            !is_synced
        });
        state.changes = changes;
        state.drop_unnamed();
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let state = self.call()?;
        state.check_dir(path)?;
        let names = state
            .names
            .keys()
            .filter(|name| name.parent() == Some(path));
        Ok(names.filter_map(|n| Some(n.file_name()?.into())).collect())
    }

    fn info(&self, path: &Path) -> io::Result<FileInfo> {
        let state = self.call()?;
        let id = state.file(path)?;
        let content = state.files.get(&id).ok_or(Errno::NOENT)?;
        Ok(FileInfo {
            len: content.now.len() as u64,
            modified: SystemTime::UNIX_EPOCH + content.modified,
        })
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.call()?;
        let used_bytes = state.used_bytes();
        let free_bytes = state.capacity_bytes.map(|c| c.saturating_sub(used_bytes));
        Ok(free_bytes.unwrap_or(u64::MAX))
    }

    fn set_read_only(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        let id = state.file(path)?;
        if let Some(content) = state.files.get_mut(&id) {
            content.is_read_only = true;
        }
        Ok(())
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    id: u64,
    boots: u64,
    is_writable: bool,
}

impl FaultyFile {
    fn check<'a>(&self, state: &'a mut State) -> io::Result<&'a mut Content> {
        let is_alive = state.boots == self.boots;
        let content = state.files.get_mut(&self.id).filter(|_| is_alive);
        content.ok_or_else(|| Errno::IO.into())
    }

    /// Applies a change now and remembers it until the next sync.
    fn change(&self, state: &mut State, change: Unsynced) -> io::Result<()> {
        if !self.is_writable {
            return Err(Errno::BADF.into());
        }
        let now = state.now;
        let content = self.check(state)?;
        change.apply(&mut content.now);
        content.unsynced.push(change);
        content.modified = now;
        Ok(())
    }
}

impl Drop for FaultyFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if let Ok(content) = self.check(&mut state) {
            content.handles -= 1;
            state.drop_unnamed();
        }
    }
}

impl FileBackend for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.call()?;
        let content = self.check(&mut state)?;
        let rest = content.now.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        let torn = state.count()?;
        let offset = offset as usize;
        let content = self.check(&mut state)?;
        let len_now = content.now.len();
        let room = {
            let state = &*state;
            let content = state.files.get(&self.id).ok_or(Errno::IO)?;
            state.len_max(content).max(len_now).saturating_sub(offset)
        };
        let mut len = bytes.len().min(room);
        if let Some(stored) = torn {
            len = len.min(stored).min(bytes.len().saturating_sub(1));
        }
        if len > 0 {
            let change = Unsynced::Write(offset, bytes[..len].to_vec());
            self.change(&mut state, change)?;
        }
        match torn {
            Some(_) => Err(Errno::IO.into()),
            None if len == 0 && !bytes.is_empty() => Err(Errno::NOSPC.into()),
            None => Ok(len),
        }
    }

    fn size(&self) -> io::Result<u64> {
        let mut state = self.disk.call()?;
        Ok(self.check(&mut state)?.now.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.call()?;
        self.change(&mut state, Unsynced::Len(len as usize))
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut state = self.disk.call()?;
        let end = (offset + len) as usize;
        let content = self.check(&mut state)?;
        let len_now = content.now.len();
        let content = state.files.get(&self.id).ok_or(Errno::IO)?;
        if end > state.len_max(content) {
            return Err(Errno::NOSPC.into());
        }
        if end > len_now {
            self.change(&mut state, Unsynced::Len(end))?;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let fault = match state.count() {
            Err(error) => Some(error),
            Ok(Some(_)) => Some(Errno::IO.into()),
            Ok(None) => state.sync_fault.take().map(io::Error::from),
        };
        let is_lie = state.syncs_lie;
        let content = self.check(&mut state)?;
        if is_lie {
            return Ok(());
        }
        // As Linux does: after a failed sync the pages are held to be clean, and no later sync writes them.
        for change in std::mem::take(&mut content.unsynced) {
            if fault.is_none() {
                change.apply(&mut content.durable);
            }
        }
        fault.map_or(Ok(()), Err)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}
