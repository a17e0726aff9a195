use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use flate2::Compression;
use flate2::read::{GzEncoder, MultiGzDecoder};

use crate::client::Error;

/// How files begin that gzip (RFC 1952 §2.3.1) and bzip2 packed.
const GZIP: &[u8] = &[0x1f, 0x8b];
const BZIP2: &[u8] = b"BZh";

/// A file as it is unpacked, whatever packed it.
pub(super) fn unpacked(path: &Path) -> Result<Box<dyn Read>, Error> {
    let (file, begin) = open(path)?;
    Ok(if begin.starts_with(GZIP) {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else if begin.starts_with(BZIP2) {
        Box::new(BufReader::new(bzip2_rs::DecoderReader::new(file)))
    } else {
        Box::new(file)
    })
}

/// A file as the daemon takes it: packed by gzip, or as it is.
pub(super) fn sendable(path: &Path) -> Result<Vec<u8>, Error> {
    let (mut file, begin) = open(path)?;
    let mut octets = Vec::new();
    let read = if begin.starts_with(BZIP2) {
        GzEncoder::new(unpacked(path)?, Compression::fast()).read_to_end(&mut octets)
    } else {
        file.read_to_end(&mut octets)
    };
    read.map_err(|cause| unreadable(path, cause))?;
    Ok(octets)
}

fn open(path: &Path) -> Result<(BufReader<File>, Vec<u8>), Error> {
    let begin = || {
        let mut file = File::open(path)?;
        let mut begin = Vec::new();
        Read::take(&mut file, 3).read_to_end(&mut begin)?;
        file.rewind()?;
        Ok((BufReader::new(file), begin))
    };
    begin().map_err(|cause| unreadable(path, cause))
}

pub(super) fn unreadable(path: &Path, cause: std::io::Error) -> Error {
    Error::Unreadable {
        file: path.display().to_string(),
        cause,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(mut packed: impl Read) -> Vec<u8> {
        let mut octets = Vec::new();
        packed.read_to_end(&mut octets).unwrap();
        octets
    }

    /// The daemon reads no bzip2: it gets the same packed by gzip.
    #[test]
    fn what_bzip2_packed_is_sent_as_gzip() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/table.mrt.bz2");
        let plain = read(unpacked(&file).unwrap());
        assert_eq!(plain.len(), 346);
        let sent = sendable(&file).unwrap();
        assert!(sent.starts_with(GZIP));
        assert_eq!(read(MultiGzDecoder::new(sent.as_slice())), plain);
    }
}
