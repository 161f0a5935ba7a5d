use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::store::Location;
use super::super::tables::Kind;
use super::*;

fn keys(byte: u8) -> RootKeyring {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode([byte; 32]);
    RootKeyring::parse(&Secret::new(text)).unwrap()
}

fn header(keys: &RootKeyring) -> Header {
    Header {
        id: BackupId(uuid::Uuid::from_u128(5)),
        created_at: "2030-01-02T03:04:05.000Z".to_owned(),
        product: "0.1.0".to_owned(),
        database: "sqlite".to_owned(),
        key_id: keys.primary().id().to_owned(),
        migrations: vec!["m1".to_owned()],
        tables: vec![Table {
            name: "orgs".to_owned(),
            columns: vec![Column {
                name: "slug".to_owned(),
                kind: Kind::Text,
            }],
            rows: 2,
        }],
    }
}

fn write(folder: &TempDir) -> (PathBuf, Sizes) {
    let path = folder.path().join("one.srb");
    let keys = keys(1);
    let (sink, _) = Location::File(path.clone()).begin().unwrap();
    let mut writer = Writer::begin(sink, &header(&keys), &keys, &Rng::system()).unwrap();
    writer.write(&table_line("orgs")).unwrap();
    writer.write(b"[\"acme\"]\n[\"globex\"]\n").unwrap();
    writer.write(END_LINE).unwrap();
    let written = writer.finish().unwrap();
    (path, written)
}

fn open(path: &Path, keys: &RootKeyring) -> Result<Reader, Fault> {
    Reader::open(Location::File(path.to_owned()).open()?, keys)
}

fn read(path: &Path, keys: &RootKeyring) -> Result<Vec<String>, Fault> {
    let mut reader = open(path, keys)?;
    let mut lines = Vec::new();
    while let Some(line) = reader.next()? {
        lines.push(format!("{line:?}"));
    }
    Ok(lines)
}

#[test]
fn a_file_is_read_as_it_was_written_and_is_its_owners() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let (path, written) = write(&folder);
    let lines = read(&path, &keys(1)).unwrap();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[1].contains("acme") && lines[3] == "End", "{lines:?}");
    let mut reader = open(&path, &keys(1)).unwrap();
    assert_eq!(reader.header, header(&keys(1)));
    while reader.next().unwrap().is_some() {}
    assert_eq!(reader.sizes(), written);
    assert_eq!(fs::metadata(&path).unwrap().len(), written.size);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&path).unwrap();
    assert!(!bytes.windows(4).any(|part| part == b"acme"), "rows are sealed");
}

#[test]
fn another_key_a_changed_byte_and_a_shorter_file_are_refused() {
    let folder = TempDir::new().unwrap();
    let (path, _) = write(&folder);
    assert!(matches!(read(&path, &keys(2)), Err(Fault::Refused(_))));
    let bytes = fs::read(&path).unwrap();
    let changed = folder.path().join("changed.srb");
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 1;
        fs::write(&changed, other).unwrap();
        assert!(matches!(read(&changed, &keys(1)), Err(Fault::Refused(_))), "byte {at}");
    }
    for length in [0, 7, 8, 20, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&changed, &bytes[..length]).unwrap();
        assert!(
            matches!(read(&changed, &keys(1)), Err(Fault::Refused(_))),
            "{length} bytes"
        );
    }
    fs::write(&changed, [&bytes[..], b"more"].concat()).unwrap();
    assert!(matches!(read(&changed, &keys(1)), Err(Fault::Refused(_))), "longer");
}
