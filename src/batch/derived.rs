//! DICOM objects derived from the series that was segmented.

use std::path::Path;

use super::one::Segmentation;
use super::outputs::OutputPaths;
use crate::error::Result;
#[cfg(feature = "dicom")]
use crate::formats::dicom;
use crate::fs::{self, Overwrite};
use crate::report::FileRecord;
#[cfg(feature = "dicom")]
use crate::report::{CaptureOptions, Captures, RgbPicture};
#[cfg(feature = "dicom")]
use crate::volume::SourceKind;

impl Segmentation {
    /// Writes the DICOM objects among `outputs` and returns their files.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] when the study was not read from DICOM; as [`Segmentation::save`].
    pub(super) fn write_derived(&self, outputs: &OutputPaths) -> Result<Vec<FileRecord>> {
        if let Some(path) = &outputs.dicom_seg {
            self.write_segmentation(path, outputs)?;
        }
        if let Some(path) = &outputs.rtstruct {
            self.write_structures(path, outputs.overwrite)?;
        }
        if let Some(path) = &outputs.secondary_capture {
            self.write_captures(path, outputs.overwrite)?;
        }
        let written = [&outputs.dicom_seg, &outputs.rtstruct, &outputs.secondary_capture];
        let record = |path: &std::path::PathBuf| Ok(FileRecord { path: path.clone(), sha256: fs::digest(path)? });
        written.into_iter().flatten().map(record).collect()
    }

    #[cfg(feature = "dicom")]
    fn write_segmentation(&self, path: &Path, outputs: &OutputPaths) -> Result<()> {
        let mut options = outputs.segmentation.clone();
        options.algorithm.clone_from(&self.spec().name);
        options.algorithm_version.clone_from(&self.spec().version);
        options.overwrite = outputs.overwrite;
        crate::formats::dicom::write_segmentation(path, self.labels(), &self.inputs.source, &options)
    }

    #[cfg(not(feature = "dicom"))]
    fn write_segmentation(&self, path: &Path, _: &OutputPaths) -> Result<()> {
        Err(crate::formats::not_dicom().at(path))
    }

    #[cfg(feature = "dicom")]
    fn write_structures(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        dicom::write_structures(path, self.labels(), &self.inputs.source, &self.title(), overwrite)
    }

    #[cfg(feature = "dicom")]
    fn write_captures(&self, folder: &Path, overwrite: Overwrite) -> Result<()> {
        let mut options = CaptureOptions::default();
        if let SourceKind::Dicom(source) = &self.inputs.source.kind {
            // Samples that were inverted when they were read are bright where they are high, and no longer in the window.
            let as_stored = !(source.monochrome1 && self.spec().input.invert_monochrome1);
            options.window = source.window.filter(|_| as_stored);
            options.inverted = source.monochrome1 && as_stored;
        }
        let captures = Captures::new(&self.inputs.channels[0], self.labels(), &options)?;
        let pixels = |picture: RgbPicture| (picture.size, picture.rgb);
        let legend = pixels(captures.legend(&self.title())?);
        let slice = |k| captures.slice(k).map(pixels);
        dicom::write_captures(folder, &self.inputs.source, legend, slice, &self.title(), overwrite)
    }

    #[cfg(not(feature = "dicom"))]
    fn write_structures(&self, path: &Path, _: Overwrite) -> Result<()> {
        Err(crate::formats::not_dicom().at(path))
    }

    #[cfg(not(feature = "dicom"))]
    fn write_captures(&self, folder: &Path, _: Overwrite) -> Result<()> {
        Err(crate::formats::not_dicom().at(folder))
    }

    /// What made the labels.
    #[cfg(feature = "dicom")]
    fn title(&self) -> String {
        format!("unet-vol {}", self.spec().name)
    }
}
