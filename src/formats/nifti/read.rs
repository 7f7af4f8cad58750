//! Opening a file (header, extensions, place in the world) and streaming its voxels.

use std::io::{self, Cursor, ErrorKind as Io, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::extensions::{self, Extension};
use super::header::Header;
use super::samples::{Convert, decode};
use super::transform::{Placement, place};
use super::{fields::Version, pair};
use crate::error::{Error, Result, Warning};
use crate::formats::{Form, Format, Probe, ReadOptions};
use crate::fs::{self, Content};
use crate::limits::{self, Limits};
use crate::volume::{NiftiSource, Source, SourceKind};

/// Bytes that are inflated and converted at a time; a multiple of every sample size.
const CHUNK: usize = 256 << 10;
/// Chunks that one thread reads at a time.
const PIECES: usize = 16;
/// Deflate cannot expand by more than this (RFC 1951: a match of 258 bytes takes at least two bits).
const MAX_EXPANSION: u64 = 1032;
/// Bytes behind the voxels that are read for the sake of the checksum at the end of the stream.
const MAX_TRAILING: u64 = 16 << 20;

/// A file whose header has been read and checked; its voxels come next.
pub(in crate::formats) struct Input {
    path: PathBuf,
    /// The other file of a pair.
    voxel_file: Option<PathBuf>,
    header: Header,
    placement: Placement,
    extensions: Vec<Extension>,
    content: Content,
    /// Bytes of `content` that have been read.
    position: u64,
    /// Byte at which the voxels start.
    offset: u64,
    pub(in crate::formats) warnings: Vec<Warning>,
}

/// Sizes in bytes that the header promises.
struct Promise {
    volumes: u64,
    volume: u64,
    total: u64,
}

impl Input {
    /// Reads everything before the voxels; `head` are the first bytes of `content`, already taken from it.
    pub(in crate::formats) fn open(
        path: &Path,
        voxel_file: Option<PathBuf>,
        head: Vec<u8>,
        content: Content,
        options: &ReadOptions,
    ) -> Result<Self> {
        let mut header = Header::parse(&head)?;
        let mut warnings = std::mem::take(&mut header.warnings);
        let candidates = if header.single { Vec::new() } else { pair::images_of(path) };
        let is_pair = !candidates.is_empty();
        if !header.single && !is_pair {
            let message = "the magic says that the voxels are in another file, yet this is a single one";
            warnings.push(Warning::new("pair-magic", message));
        }
        let limits = &options.limits;
        let shape = usize_shape(&header, limits)?;
        let placement = place(&header, shape, options.assume_orientation, &mut warnings)?;
        warn_units(&header, &mut warnings);
        let offset = header.voxel_offset(!is_pair, &mut warnings)?;
        let Content { reader, places, gzip, stored } = content;
        let mut content = Content { reader: Box::new(Cursor::new(head).chain(reader)), places, gzip, stored };

        let size = header.raw.version().size();
        let before = read_up_to(&mut content, if is_pair { limits.max_header_bytes } else { offset }, limits)?;
        let has_extensions = before.get(size).is_some_and(|&flag| flag != 0);
        let area = before.get(size + 4..).filter(|_| has_extensions).unwrap_or_default();
        let beyond = if is_pair { 0 } else { promise(&header).map_or(u64::MAX, |promise| promise.total) };
        let extensions = extensions::parse(area, header.raw.big_endian(), beyond, &mut warnings)?;

        let found = candidates.iter().find(|file| fs::exists(file)).or(candidates.first());
        let voxel_file = found.map(|found| voxel_file.unwrap_or_else(|| found.clone()));
        let position = if is_pair { 0 } else { before.len() as u64 };
        if let Some(file) = &voxel_file {
            content = if fs::exists(file) { fs::content(file)? } else { empty() };
        }
        let path = path.to_owned();
        Ok(Self { path, voxel_file, header, placement, extensions, content, position, offset, warnings })
    }

    /// What the header says.
    pub(in crate::formats) fn probe(&self) -> Probe {
        let mut warnings = self.warnings.clone();
        if let Err(error) = self.check_size() {
            warnings.push(Warning::new("voxels-missing", error.message()));
        }
        let raw = &self.header.raw;
        Probe {
            path: self.path.clone(),
            voxel_file: self.voxel_file.clone(),
            format: if raw.version() == Version::One { Format::Nifti1 } else { Format::Nifti2 },
            gzip: self.content.gzip,
            big_endian: raw.big_endian(),
            shape: self.header.shape.clone(),
            grid: self.placement.grid,
            form: self.placement.form,
            sform_code: raw.int(super::fields::SFORM_CODE, 0),
            qform_code: raw.int(super::fields::QFORM_CODE, 0),
            data_type: self.header.data_type,
            scaling: self.header.scaling,
            units: self.header.units(),
            intent: self.header.intent(),
            intent_name: self.header.intent_name(),
            description: self.header.description(),
            extensions: self.extensions.iter().map(|(code, content)| (*code, content.len())).collect(),
            warnings,
        }
    }

    /// What a writer needs to give a volume back beside this one.
    pub(in crate::formats) fn source(&self) -> Source {
        let kind = SourceKind::Nifti(NiftiSource {
            header: self.header.raw.bytes().to_owned(),
            big_endian: self.header.raw.big_endian(),
            extensions: self.extensions.clone(),
        });
        let mut source = Source::new(Some(self.path.clone()), self.placement.grid, kind);
        source.oriented = self.placement.form != Form::None;
        source
    }

    pub(in crate::formats) fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    pub(in crate::formats) fn scaling(&self) -> Option<(f64, f64)> {
        self.header.scaling
    }

    fn voxel_path(&self) -> &Path {
        self.voxel_file.as_deref().unwrap_or(&self.path)
    }

    /// Fails when the file is too short for what the header promises.
    fn check_size(&self) -> Result<Promise> {
        let path = self.voxel_path();
        if self.voxel_file.is_some() && !fs::exists(path) {
            return Err(Error::malformed("the file with the voxels of this pair is missing").at(path));
        }
        let promise = promise(&self.header).ok_or_else(|| {
            Error::limit(format!("the header promises {:?} voxels, more than can be counted", self.header.shape))
        })?;
        let end = self.offset.saturating_add(promise.total);
        let stored = self.content.stored;
        if !self.content.gzip && stored < end {
            return Err(Error::malformed(format!("the file is cut off: it has {stored} of {end} bytes")).at(path));
        }
        if self.content.gzip && end / MAX_EXPANSION > stored {
            return Err(Error::malformed(format!(
                "the file is cut off: its {stored} compressed bytes cannot hold the {end} that the header promises"
            ))
            .at(path));
        }
        Ok(promise)
    }

    pub(in crate::formats) fn path(&self) -> &Path {
        &self.path
    }

    /// Volumes that the header promises; 0 when they cannot be counted.
    pub(in crate::formats) fn volumes(&self) -> u64 {
        self.header.volumes().unwrap_or(0)
    }

    /// Which volume is meant, from 0.
    pub(in crate::formats) fn choose(&self, volume: Option<usize>) -> Result<u64> {
        select(&self.header, self.check_size()?.volumes, volume)
    }

    /// Streams volumes through `convert`; then reads a compressed file to its end so that the checksum is checked.
    pub(in crate::formats) fn voxels<C: Convert>(
        &mut self,
        volumes: Range<u64>,
        convert: &C,
        limits: &Limits,
    ) -> Result<Vec<Vec<C::Out>>> {
        let data_type = self.header.data_type;
        if !data_type.is_number() {
            let message = format!("voxels of type {data_type} are no single numbers of at most 64 bits");
            return Err(Error::unsupported(message).hint("save one component as a volume of its own"));
        }
        let promise = self.check_size()?;
        let count = self.placement.grid.voxels();
        let samples = (count as u64).saturating_mul(volumes.end - volumes.start);
        limits.bytes(samples.saturating_mul(size_of::<C::Out>() as u64), "the volume")?;

        let start = self.offset + volumes.start * promise.volume;
        let end = self.offset + promise.total;
        let by_place = !C::IN_ORDER && self.content.places.is_some();
        if !by_place {
            self.skip(start - self.position, end)?;
        }
        let mut all = Vec::new();
        for at in (0..volumes.end - volumes.start).map(|n| start + n * promise.volume) {
            let mut out = limits::zeroed(count, "the volume")?;
            if by_place {
                self.read_by_place(at, convert, &mut out)?;
            } else {
                self.read_in_order(end, convert, &mut out)?;
            }
            all.push(out);
        }
        self.finish(end)?;
        Ok(all)
    }

    /// The next samples of the stream.
    fn read_in_order<C: Convert>(&mut self, end: u64, convert: &C, out: &mut [C::Out]) -> Result<()> {
        let (data_type, big_endian) = (self.header.data_type, self.header.raw.big_endian());
        let mut chunk = limits::zeroed(CHUNK, "a read buffer")?;
        for out in out.chunks_mut(CHUNK / data_type.size()) {
            let bytes = &mut chunk[..out.len() * data_type.size()];
            self.fill(bytes, end)?;
            decode(bytes, data_type, big_endian, convert, out);
        }
        Ok(())
    }

    /// Samples from byte `start` of the file on, in parallel; buffers are small enough to stay in a core's cache.
    fn read_by_place<C: Convert>(&self, start: u64, convert: &C, out: &mut [C::Out]) -> Result<()> {
        let Some(places) = &self.content.places else {
            return Err(Error::internal("the file cannot be read by place"));
        };
        let (data_type, big_endian) = (self.header.data_type, self.header.raw.big_endian());
        let (size, per_chunk, path) = (data_type.size(), CHUNK / data_type.size(), self.voxel_path());
        out.par_chunks_mut(PIECES * per_chunk).enumerate().try_for_each(|(piece, out)| {
            let mut chunk = limits::zeroed(CHUNK, "a read buffer")?;
            let first = start + (piece * PIECES * CHUNK) as u64;
            for (n, out) in out.chunks_mut(per_chunk).enumerate() {
                let bytes = &mut chunk[..out.len() * size];
                places.read_exact_at(bytes, first + (n * CHUNK) as u64).map_err(|e| fs::unreadable(path, e))?;
                decode(bytes, data_type, big_endian, convert, out);
            }
            Ok(())
        })
    }

    fn fill(&mut self, bytes: &mut [u8], end: u64) -> Result<()> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.content.reader.read(&mut bytes[filled..]) {
                Ok(0) => return Err(self.cut_off(end)),
                Ok(n) => {
                    filled += n;
                    self.position += n as u64;
                }
                Err(e) if e.kind() == Io::Interrupted => (),
                Err(e) => return Err(self.failed(e, end)),
            }
        }
        Ok(())
    }

    fn skip(&mut self, bytes: u64, end: u64) -> Result<()> {
        let skipped =
            io::copy(&mut (&mut self.content.reader).take(bytes), &mut io::sink()).map_err(|e| self.failed(e, end))?;
        self.position += skipped;
        if skipped < bytes { Err(self.cut_off(end)) } else { Ok(()) }
    }

    /// Nothing more is wanted: what follows is counted, and a compressed stream is read to its checksum.
    fn finish(&mut self, end: u64) -> Result<()> {
        let trailing = if self.content.gzip {
            self.skip(end - self.position, end)?;
            let mut rest = (&mut self.content.reader).take(MAX_TRAILING + 1);
            io::copy(&mut rest, &mut io::sink()).map_err(|e| self.failed(e, end))?
        } else {
            self.content.stored - end
        };
        if self.content.gzip && trailing > MAX_TRAILING {
            return Err(Error::limit(format!(
                "more than {MAX_TRAILING} bytes follow the voxels that the header promises"
            )));
        }
        if trailing > 0 {
            let message = format!("{trailing} bytes follow the voxels that the header promises; they are ignored");
            self.warnings.push(Warning::new("trailing-bytes", message));
        }
        Ok(())
    }

    fn cut_off(&self, end: u64) -> Error {
        let compressed = if self.content.gzip { " after decompression" } else { "" };
        Error::malformed(format!("the file is cut off: it has {} of {end} bytes{compressed}", self.position))
            .at(self.voxel_path())
    }

    fn failed(&self, error: io::Error, end: u64) -> Error {
        match error.kind() {
            Io::UnexpectedEof if self.position < end => self.cut_off(end),
            Io::UnexpectedEof => {
                Error::malformed("the file is cut off: the checksum at the end of the gzip stream is missing")
            }
            _ => fs::unreadable(self.voxel_path(), error),
        }
        .at(self.voxel_path())
    }
}

/// Which volume to read, from 0.
fn select(header: &Header, volumes: u64, requested: Option<usize>) -> Result<u64> {
    match requested.map(|n| n as u64) {
        Some(n) if n < volumes => Ok(n),
        None if volumes == 1 => Ok(0),
        requested => {
            let shape = header.shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" x ");
            let hint = format!("name one with --volume N, N from 0 to {}", volumes - 1);
            Err(match requested {
                Some(n) => Error::usage(format!("there is no volume {n}: the file holds {volumes} ({shape} voxels)")),
                None => {
                    Error::unsupported(format!("the file holds {volumes} volumes ({shape} voxels), not a single one"))
                }
            }
            .hint(hint))
        }
    }
}

/// Sizes that the header promises; `None` when they overflow.
fn promise(header: &Header) -> Option<Promise> {
    let volumes = header.volumes()?;
    let size = header.data_type.size() as u64;
    let volume = header.shape3().iter().try_fold(size, |product, &n| product.checked_mul(n))?;
    let total = volume.checked_mul(volumes).filter(|total| *total < 1 << 62)?;
    Some(Promise { volumes, volume, total })
}

/// The first three axis lengths, within the limits.
fn usize_shape(header: &Header, limits: &Limits) -> Result<[usize; 3]> {
    let shape = header.shape3();
    limits.voxels(&shape)?;
    Ok(shape.map(|n| usize::try_from(n).unwrap_or(usize::MAX)))
}

/// The next bytes of a stream, fewer where it ends early.
fn read_up_to(content: &mut Content, bytes: u64, limits: &Limits) -> Result<Vec<u8>> {
    if bytes > limits.max_header_bytes && content.gzip {
        return Err(Error::limit(format!(
            "the voxels start at byte {bytes}, beyond the limit of {} for a header",
            limits.max_header_bytes
        )));
    }
    let mut before = Vec::new();
    let bytes = bytes.min(limits.max_header_bytes);
    (&mut content.reader).take(bytes).read_to_end(&mut before).map_err(|e| match e.kind() {
        Io::UnexpectedEof => Error::malformed("the compressed data is cut off inside the header"),
        _ => Error::malformed("the compressed data is damaged").because(e),
    })?;
    Ok(before)
}

fn empty() -> Content {
    Content { reader: Box::new(io::empty()), places: None, gzip: false, stored: 0 }
}

fn warn_units(header: &Header, warnings: &mut Vec<Warning>) {
    let (space, _) = header.units();
    if matches!(space, "meter" | "micrometer") {
        let message = format!("the unit of length is the {space}; its numbers are taken as mm, as most programs do");
        warnings.push(Warning::new("units", message));
    }
}
