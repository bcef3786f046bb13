//! A snapshot file.

use std::path::Path;

use skep::disk::faulty::FaultyDisk;
use skep::journal::snapshot::{
    Item, KEY_BYTES_MAX, SECTION_NAME_BYTES_MAX, SnapshotReader, SnapshotWriter, VALUE_BYTES_MAX,
    check,
};

use super::{choice, set_u32, u32_at};

const HEADER_BYTES: usize = 32;
const BLOCK_HEADER_BYTES: usize = 8;

/// What is in a snapshot that reads to its end is within its limits and survives being written again; what does not
/// read names the file.
pub fn read(bytes: &[u8]) {
    let (which, rest) = choice(bytes);
    let file = match which % 3 {
        0 => rest.to_vec(),
        // With checksums that are right, so that what is behind them is reached.
        1 => with_checksums(rest),
        // A good file around sections and entries of the attacker's own.
        _ => {
            let stream = zstd::encode_all(rest, 1).expect("packed");
            let mut file = vec![0; HEADER_BYTES];
            file[8] = 1;
            for block in stream.chunks(64 << 10).chain([&[][..]]) {
                file.extend_from_slice(&(block.len() as u32).to_le_bytes());
                file.extend_from_slice(&[0; 4]);
                file.extend_from_slice(block);
            }
            with_checksums(&file)
        }
    };
    let faulty = FaultyDisk::new();
    let disk = faulty.disk();
    let path = Path::new("/snapshots/00000000000000000001.snap");
    faulty.put(path, &file);
    let checked = check(&disk, path);
    match items(&disk, path) {
        Ok(found) => {
            checked.expect("what is read to its end has good checksums");
            let dir = Path::new("/again");
            let mut writer = SnapshotWriter::begin(&disk, dir, 1).expect("begun");
            for (section, key, value) in &found {
                match section {
                    Some(name) => writer.section(name).expect("a section"),
                    None => writer.entry(key, value).expect("an entry"),
                }
            }
            let written = writer.finish().expect("written");
            assert_eq!(items(&disk, &written.path).expect("read back"), found);
        }
        Err(said) => assert!(said.contains(".snap") && said.len() < 4096, "{said}"),
    }
}

type Items = Vec<(Option<String>, Vec<u8>, Vec<u8>)>;

fn items(disk: &skep::disk::Disk, path: &Path) -> Result<Items, String> {
    let mut reader = SnapshotReader::open(disk, path).map_err(|error| error.to_string())?;
    let mut items = Items::new();
    let mut bytes = 0;
    while let Some(item) = reader.next().map_err(|error| error.to_string())? {
        let item = match item {
            Item::Section(name) => {
                assert!(name.len() <= SECTION_NAME_BYTES_MAX);
                (Some(name.to_owned()), Vec::new(), Vec::new())
            }
            Item::Entry { key, value } => {
                assert!(key.len() <= KEY_BYTES_MAX && value.len() <= VALUE_BYTES_MAX);
                (None, key.to_vec(), value.to_vec())
            }
        };
        bytes += 64 + item.1.len() + item.2.len();
        // A snapshot is as large as the tables; here a small one that unpacks to much is looked at no further.
        if bytes > 32 << 20 {
            return Err("….snap".to_owned());
        }
        items.push(item);
    }
    Ok(items)
}

fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().max(HEADER_BYTES), 0);
    bytes[..8].copy_from_slice(b"SKEPSNAP");
    let crc = crc32c::crc32c(&bytes[..28]);
    set_u32(&mut bytes, 28, crc);
    let mut at = HEADER_BYTES;
    while let Some(len) = u32_at(&bytes, at) {
        let begin = at + BLOCK_HEADER_BYTES;
        let end = begin.saturating_add(len as usize);
        if end > bytes.len() {
            break;
        }
        let place = crc32c::crc32c(&(at as u64).to_le_bytes());
        let crc = crc32c::crc32c_append(place, &bytes[begin..end]);
        set_u32(&mut bytes, at + 4, crc);
        at = end;
    }
    bytes
}
