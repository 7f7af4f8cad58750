//! NIfTI-1 and NIfTI-2: `.nii`, `.nii.gz` and `.hdr`/`.img` pairs, in both byte orders.

mod extensions;
mod fields;
mod gzip;
mod header;
mod label_table;
mod new_header;
mod pair;
mod read;
mod samples;
mod transform;
mod write;

use std::ops::Range;
use std::path::{Path, PathBuf};

use self::samples::{LabelIds, Scaled, Unscaled};
use super::{LabelStudy, Probe, ReadOptions, Study};
use crate::error::{Error, Result};
use crate::fs::Content;
#[cfg(feature = "dicom")]
use crate::volume::Source;
use crate::volume::{LabelMap, Volume};

pub use samples::Sample;
pub(super) use write::write_labels;
pub use write::{SlabWriter, write_volume, write_volumes};

/// The file to open first for `path`, and the file of voxels where the user named that one of a pair.
pub(super) fn header_of(path: &Path) -> (PathBuf, Option<PathBuf>) {
    pair::header_of(path)
}

/// A NIfTI file at its voxels.
pub(super) struct Nifti(read::Input);

impl Nifti {
    /// `head` are the first bytes of `content`, already taken from it.
    pub(super) fn open(
        path: &Path,
        voxel_file: Option<PathBuf>,
        head: Vec<u8>,
        content: Content,
        options: &ReadOptions,
    ) -> Result<Self> {
        read::Input::open(path, voxel_file, head, content, options).map(Self).map_err(|e| {
            let e = e.at(path);
            if pair::is_image(path) { e.hint("the header (.hdr) that belongs to it is not beside it") } else { e }
        })
    }

    pub(super) fn probe(&self) -> Probe {
        self.0.probe()
    }

    #[cfg(feature = "dicom")]
    pub(super) fn source(&self) -> Source {
        self.0.source()
    }

    pub(super) fn study<T: Sample>(self, options: &ReadOptions) -> Result<Study<T>> {
        let Self(input) = &self;
        let volume = input.choose(options.volume).map_err(|e| e.at(input.path()))?;
        self.range(volume..volume + 1, options)?.pop().ok_or_else(|| Error::internal("a file has no volume"))
    }

    /// All volumes, in the order of the file.
    pub(super) fn studies<T: Sample>(self, options: &ReadOptions) -> Result<Vec<Study<T>>> {
        let volumes = self.0.volumes();
        self.range(0..volumes, options)
    }

    fn range<T: Sample>(self, volumes: Range<u64>, options: &ReadOptions) -> Result<Vec<Study<T>>> {
        let Self(mut input) = self;
        let probe = input.probe();
        let volumes = match input.scaling().filter(|&scaling| scaling != (1.0, 0.0)) {
            Some(scaling) => input.voxels(volumes, &Scaled::<T>::new(scaling), &options.limits),
            None => input.voxels(volumes, &Unscaled::<T>(std::marker::PhantomData), &options.limits),
        }
        .map_err(|e| e.at(&probe.path))?;
        let source = input.source();
        let study = |data| {
            let volume = Volume::new(source.grid, data)?;
            let (source, probe) = (source.clone(), probe.clone());
            Ok(Study { volume, slices: None, source, probe, warnings: input.warnings.clone() })
        };
        volumes.into_iter().map(study).collect()
    }

    pub(super) fn labels(self, options: &ReadOptions) -> Result<LabelStudy> {
        let Self(mut input) = self;
        let probe = input.probe();
        let convert = LabelIds::new(input.scaling());
        let volume = input.choose(options.volume).map_err(|e| e.at(&probe.path))?;
        let ids = input.voxels(volume..volume + 1, &convert, &options.limits).map_err(|e| e.at(&probe.path))?;
        let ids = ids.into_iter().next().unwrap_or_default();
        if let Some(value) = convert.bad() {
            let message = format!("the value {value} is no label id: whole numbers from 0 to 65535 are");
            return Err(Error::unsupported(message).at(&probe.path));
        }
        let mut warnings = std::mem::take(&mut input.warnings);
        let table = label_table::read(input.extensions(), &mut warnings);
        let source = input.source();
        Ok(LabelStudy { labels: LabelMap::new(Volume::new(source.grid, ids)?, table), source, probe, warnings })
    }
}
