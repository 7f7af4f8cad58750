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

use std::path::{Path, PathBuf};

use self::samples::{LabelIds, Scaled, Unscaled};
use super::{LabelStudy, Probe, ReadOptions, Study};
use crate::error::{Error, Result};
use crate::fs::Content;
#[cfg(feature = "dicom")]
use crate::volume::Source;
use crate::volume::{LabelMap, Volume};

pub use samples::Sample;
pub use write::{SlabWriter, write_labels, write_volume};

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
        let Self(mut input) = self;
        let probe = input.probe();
        let data = match input.scaling().filter(|&scaling| scaling != (1.0, 0.0)) {
            Some(scaling) => input.voxels(options.volume, &Scaled::<T>::new(scaling), &options.limits),
            None => input.voxels(options.volume, &Unscaled::<T>(std::marker::PhantomData), &options.limits),
        }
        .map_err(|e| e.at(&probe.path))?;
        let source = input.source();
        Ok(Study { volume: Volume::new(source.grid, data)?, source, probe, warnings: input.warnings })
    }

    pub(super) fn labels(self, options: &ReadOptions) -> Result<LabelStudy> {
        let Self(mut input) = self;
        let probe = input.probe();
        let convert = LabelIds::new(input.scaling());
        let ids = input.voxels(options.volume, &convert, &options.limits).map_err(|e| e.at(&probe.path))?;
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
