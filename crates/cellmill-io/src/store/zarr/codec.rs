//! Codecs that make bytes of bytes.

use super::blosc;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use serde_json::Value;
use std::io::Read;

/// A codec of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Gzip,
    Zlib,
    Zstd,
    Blosc,
    Lz4,
    Crc32c,
}

impl Codec {
    /// The codec of this name, of either version.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        Ok(match name.trim_start_matches("numcodecs.") {
            "gzip" => Self::Gzip,
            "zlib" => Self::Zlib,
            "zstd" => Self::Zstd,
            "blosc" => Self::Blosc,
            "lz4" => Self::Lz4,
            "crc32c" => Self::Crc32c,
            other => return Err(format!("the codec {other}")),
        })
    }

    /// Undoes the codec; at most `limit` bytes come out.
    fn undo(self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, String> {
        let all = |reader: &mut dyn Read, what: &str| {
            let mut out = Vec::new();
            let most = limit as u64 + 1;
            reader
                .take(most)
                .read_to_end(&mut out)
                .map_err(|e| format!("its {what} stream is damaged ({e})"))?;
            Ok(out)
        };
        match self {
            Self::Gzip => all(&mut MultiGzDecoder::new(bytes), "gzip"),
            Self::Zlib => all(&mut ZlibDecoder::new(bytes), "zlib"),
            Self::Zstd => unpack_zstd(bytes, limit),
            Self::Blosc => blosc::unpack(bytes, limit),
            Self::Lz4 => {
                let (size, rest) = bytes.split_at_checked(4).ok_or("it is too short for lz4")?;
                let size = u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize;
                unpack_lz4(rest, size.min(limit + 1))
            }
            Self::Crc32c => {
                let end = bytes.len().checked_sub(4).ok_or("it has no checksum")?;
                let (body, sum) = bytes.split_at(end);
                if sum != crc32c::crc32c(body).to_le_bytes() {
                    return Err("its checksum (crc32c) does not fit its bytes".into());
                }
                Ok(body.to_vec())
            }
        }
    }
}

pub(super) fn unpack_zstd(bytes: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let damaged = |e: &dyn std::fmt::Display| format!("its zstd stream is damaged ({e})");
    let mut out = Vec::new();
    let mut reader = ruzstd::decoding::StreamingDecoder::new(bytes).map_err(|e| damaged(&e))?;
    (&mut reader)
        .take(limit as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|e| damaged(&e))?;
    Ok(out)
}

pub(super) fn unpack_lz4(bytes: &[u8], size: usize) -> Result<Vec<u8>, String> {
    lz4_flex::block::decompress(bytes, size).map_err(|e| format!("its lz4 stream is damaged ({e})"))
}

/// The codecs of bytes in a list of version 3, and whether numbers have their first byte first.
pub(super) fn chain(list: &[Value]) -> Result<(Vec<Codec>, bool), String> {
    let mut codecs = Vec::new();
    let mut big = false;
    for codec in list {
        let name = codec.get("name").and_then(Value::as_str).or(codec.as_str());
        match name.unwrap_or("") {
            "bytes" => {
                let endian = codec.get("configuration").and_then(|c| c.get("endian"));
                big = endian.and_then(Value::as_str) == Some("big");
            }
            "vlen-utf8" => {}
            other => codecs.push(Codec::named(other)?),
        }
    }
    Ok((codecs, big))
}

/// Undoes all codecs; at most `limit` bytes may come out.
pub(super) fn undo(codecs: &[Codec], mut bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, String> {
    for codec in codecs.iter().rev() {
        bytes = codec.undo(&bytes, limit)?;
        if bytes.len() > limit {
            return Err(format!("it holds more than {limit} bytes"));
        }
    }
    Ok(bytes)
}
