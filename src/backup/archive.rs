//! The bytes of an archive: a tar file with checksums, compressed with zstd, its manifest first.
//!
//! Any `tar` reads it. The reader takes nothing for granted: it knows the few kinds of entries that Skep writes, holds one
//! block in memory, and believes an archive only when its last checksum was right.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use super::{
    BackupError, COPY_BYTES, Entry, FORMAT, Kind, Manifest, PATH_BYTES_MAX, Sink, part_of,
};

/// Level 3 is where zstd has its best of time and size.
const LEVEL: i32 = 3;
/// More than the level above ever uses, and what `zstd` itself accepts: what a reader may be made to allocate.
const WINDOW_LOG_MAX: u32 = 27;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const BLOCK_BYTES: usize = 512;
const MANIFEST_NAME: &str = "skep-backup.json";
const MANIFEST_BYTES_MAX: u64 = 64 << 10;
/// What may follow the last entry: zeros, up to the record size of old tape drives.
const TRAILER_BYTES_MAX: u64 = 64 << 10;

/// Writes an archive.
pub struct Writer<W: Write> {
    out: zstd::stream::write::Encoder<'static, W>,
    /// What was put in.
    pub files: u64,
    /// Bytes of the files that were put in.
    pub bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Begins an archive.
    pub fn begin(out: W, manifest: &Manifest) -> Result<Self, BackupError> {
        let encoder = || {
            let mut encoder = zstd::stream::write::Encoder::new(out, LEVEL)?;
            encoder.include_checksum(true)?;
            Ok(encoder)
        };
        let mut writer = Self {
            out: encoder().map_err(BackupError::Output)?,
            files: 0,
            bytes: 0,
        };
        let text = serde_json::to_vec(manifest).unwrap_or_default();
        let entry = Entry {
            path: PathBuf::from(MANIFEST_NAME),
            kind: Kind::File {
                bytes: text.len() as u64,
            },
            mode: 0o600,
            modified: manifest.created_at / 1000,
        };
        writer.put(&entry, &mut text.as_slice())?;
        writer.files = 0;
        writer.bytes = 0;
        Ok(writer)
    }

    /// Ends the archive; without this it is recognised as cut off.
    pub fn finish(mut self) -> Result<W, BackupError> {
        self.out
            .write_all(&[0; 2 * BLOCK_BYTES])
            .and_then(|()| self.out.finish())
            .map_err(BackupError::Output)
    }

    /// A name or target that does not fit a header stands before it in an entry of its own.
    fn long(&mut self, kind: EntryType, name: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        let place = &mut header.as_old_mut().name;
        place[..13].copy_from_slice(b"././@LongLink");
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(name.len() as u64 + 1);
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(name)?;
        self.out.write_all(&[0])?;
        self.pad(name.len() as u64 + 1)
    }

    fn pad(&mut self, bytes: u64) -> io::Result<()> {
        let over = (bytes % BLOCK_BYTES as u64) as usize;
        match over {
            0 => Ok(()),
            over => self.out.write_all(&[0; BLOCK_BYTES][over..]),
        }
    }

    fn header(&mut self, entry: &Entry) -> io::Result<()> {
        let mut header = Header::new_gnu();
        let name = entry.path.as_os_str().as_bytes();
        let place = header.as_old_mut().name.len();
        if name.len() > place {
            self.long(EntryType::GNULongName, name)?;
        }
        let fits = name.len().min(place);
        header.as_old_mut().name[..fits].copy_from_slice(&name[..fits]);
        header.set_mode(entry.mode & 0o777);
        header.set_mtime(entry.modified);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        match &entry.kind {
            Kind::Directory => header.set_entry_type(EntryType::Directory),
            Kind::File { bytes } => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(*bytes);
            }
            Kind::Link { target } => {
                header.set_entry_type(EntryType::Symlink);
                let target = target.as_os_str().as_bytes();
                let place = header.as_old_mut().linkname.len();
                if target.len() > place {
                    self.long(EntryType::GNULongLink, target)?;
                }
                let fits = target.len().min(place);
                header.as_old_mut().linkname[..fits].copy_from_slice(&target[..fits]);
            }
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }
}

impl<W: Write> Sink for Writer<W> {
    fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), BackupError> {
        self.header(entry).map_err(BackupError::Output)?;
        if let Kind::File { bytes } = entry.kind {
            let mut buffer = vec![0; COPY_BYTES.min(usize::try_from(bytes).unwrap_or(COPY_BYTES))];
            let mut left = bytes;
            while left > 0 {
                let wanted = left.min(buffer.len() as u64) as usize;
                content
                    .read_exact(&mut buffer[..wanted])
                    .map_err(BackupError::io("read", &entry.path))?;
                self.out
                    .write_all(&buffer[..wanted])
                    .map_err(BackupError::Output)?;
                left -= wanted as u64;
            }
            self.pad(bytes).map_err(BackupError::Output)?;
            self.files += 1;
            self.bytes += bytes;
        }
        Ok(())
    }
}

/// Reads a whole archive into `sink`. Everything put there may be believed only when this returned `Ok`: the checksum
/// comes last.
pub fn read(archive: impl Read, sink: &mut dyn Sink) -> Result<Manifest, BackupError> {
    let mut archive = BufReader::with_capacity(COPY_BYTES, archive);
    let begin = archive
        .fill_buf()
        .map_err(|error| BackupError::Damaged(error.to_string()))?;
    if !begin.starts_with(&ZSTD_MAGIC) {
        return Err(BackupError::NotABackup("it is not compressed with zstd"));
    }
    let mut stream = zstd::stream::read::Decoder::with_buffer(archive).map_err(damaged)?;
    stream.window_log_max(WINDOW_LOG_MAX).map_err(damaged)?;
    let mut long = Long::default();
    let mut manifest = None;
    while let Some(header) = read_header(&mut stream)? {
        let bytes = header
            .entry_size()
            .map_err(|_| BackupError::Damaged("a length is no number".to_owned()))?;
        let kind = header.entry_type();
        match kind {
            EntryType::GNULongName => long.name = Some(read_name(&mut stream, bytes)?),
            EntryType::GNULongLink => long.target = Some(read_name(&mut stream, bytes)?),
            _ => {
                let entry = long.entry(&header, bytes)?;
                match &manifest {
                    None => manifest = Some(read_manifest(&mut stream, &entry)?),
                    Some(_) => put(&mut stream, &entry, sink)?,
                }
            }
        }
    }
    check_trailer(&mut stream)?;
    manifest.ok_or(BackupError::NotABackup("there is nothing in it"))
}

/// Names and targets that were too long for the header that follows them.
#[derive(Default)]
struct Long {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

impl Long {
    fn entry(&mut self, header: &Header, bytes: u64) -> Result<Entry, BackupError> {
        let name = self
            .name
            .take()
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let target = self.target.take();
        // Directories may be written with a slash at the end.
        let name = name.strip_suffix(b"/").unwrap_or(&name);
        let path = path(name);
        let kind = match header.entry_type() {
            EntryType::Regular => Kind::File { bytes },
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => {
                let short = || header.link_name_bytes().map(|name| name.into_owned());
                let target = target.or_else(short).unwrap_or_default();
                Kind::Link {
                    target: self::path(&target),
                }
            }
            EntryType::Link => return Err(BackupError::hostile("a hard link", &path)),
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                return Err(BackupError::hostile("a device", &path));
            }
            _ => return Err(BackupError::hostile("an entry of an unknown kind", &path)),
        };
        if !matches!(kind, Kind::File { .. }) && bytes != 0 {
            return Err(BackupError::hostile(
                "a directory or link with content",
                &path,
            ));
        }
        Ok(Entry {
            path,
            kind,
            mode: header.mode().unwrap_or(0o600) & 0o777,
            modified: header.mtime().unwrap_or(0),
        })
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// The next header; `None` at the end of the archive.
fn read_header(stream: &mut impl Read) -> Result<Option<Header>, BackupError> {
    let mut header = Header::new_old();
    stream.read_exact(header.as_mut_bytes()).map_err(damaged)?;
    if header.as_bytes().iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    // The sum counts its own field as spaces.
    let sum = |(at, byte): (usize, &u8)| match at {
        148..156 => u32::from(b' '),
        _ => u32::from(*byte),
    };
    let expected: u32 = header.as_bytes().iter().enumerate().map(sum).sum();
    match header.cksum() {
        Ok(found) if found == expected => Ok(Some(header)),
        _ => Err(BackupError::NotABackup("it is not a tar file inside")),
    }
}

fn read_name(stream: &mut impl Read, bytes: u64) -> Result<Vec<u8>, BackupError> {
    if bytes > PATH_BYTES_MAX as u64 + 1 {
        return Err(BackupError::hostile(
            "a name that no file can have",
            Path::new("…"),
        ));
    }
    let mut name = vec![0; bytes as usize];
    stream.read_exact(&mut name).map_err(damaged)?;
    skip_padding(stream, bytes)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

fn read_manifest(stream: &mut impl Read, entry: &Entry) -> Result<Manifest, BackupError> {
    let bytes = match entry.kind {
        Kind::File { bytes }
            if entry.path.as_os_str() == MANIFEST_NAME && bytes <= MANIFEST_BYTES_MAX =>
        {
            bytes
        }
        _ => return Err(BackupError::NotABackup("it does not say so itself")),
    };
    let mut text = vec![0; bytes as usize];
    stream.read_exact(&mut text).map_err(damaged)?;
    skip_padding(stream, bytes)?;
    let value: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|_| BackupError::NotABackup("what it says of itself does not read"))?;
    match value["format"].as_u64() {
        Some(found) if found > u64::from(FORMAT) => Err(BackupError::Newer {
            found: u32::try_from(found).unwrap_or(u32::MAX),
        }),
        _ => serde_json::from_value(value)
            .map_err(|_| BackupError::NotABackup("what it says of itself does not read")),
    }
}

fn put(stream: &mut impl Read, entry: &Entry, sink: &mut dyn Sink) -> Result<(), BackupError> {
    part_of(entry)?;
    let bytes = match entry.kind {
        Kind::File { bytes } => bytes,
        _ => 0,
    };
    let mut content = Content {
        stream,
        left: bytes,
        failed: None,
    };
    let taken = sink.put(entry, &mut content);
    // What the archive got wrong is no fault of the disk it goes to.
    if let Some(error) = content.failed.take() {
        return Err(damaged(error));
    }
    taken?;
    io::copy(&mut content, &mut io::sink()).map_err(damaged)?;
    if content.left > 0 {
        return Err(BackupError::Damaged("it ends within a file".to_owned()));
    }
    skip_padding(stream, bytes)
}

/// The bytes of one file within the archive.
struct Content<'a, R> {
    stream: &'a mut R,
    left: u64,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = self.left.min(buffer.len() as u64) as usize;
        match self.stream.read(&mut buffer[..wanted]) {
            Ok(0) if wanted > 0 => {
                let cut = io::ErrorKind::UnexpectedEof;
                self.failed = Some(cut.into());
                Err(cut.into())
            }
            Ok(count) => {
                self.left -= count as u64;
                Ok(count)
            }
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}

fn skip_padding(stream: &mut impl Read, bytes: u64) -> Result<(), BackupError> {
    let over = (bytes % BLOCK_BYTES as u64) as usize;
    let mut rest = [0; BLOCK_BYTES];
    match over {
        0 => Ok(()),
        over => stream.read_exact(&mut rest[over..]).map_err(damaged),
    }
}

/// Reads to the very end, where the checksum is.
fn check_trailer(stream: &mut impl Read) -> Result<(), BackupError> {
    let mut rest = Vec::new();
    stream
        .take(TRAILER_BYTES_MAX + 1)
        .read_to_end(&mut rest)
        .map_err(damaged)?;
    if rest.len() as u64 > TRAILER_BYTES_MAX || rest.iter().any(|byte| *byte != 0) {
        return Err(BackupError::Damaged("something follows its end".to_owned()));
    }
    Ok(())
}

fn damaged(error: io::Error) -> BackupError {
    BackupError::Damaged(match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        _ => error.to_string(),
    })
}
