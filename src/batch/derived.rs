//! DICOM objects derived from the series that was segmented.

use std::path::Path;

use super::one::Segmentation;
use super::outputs::OutputPaths;
use crate::error::{Error, Result};
use crate::fs;
use crate::report::FileRecord;

impl Segmentation {
    /// Writes the DICOM objects among `outputs` and returns their files.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] when the study was not read from DICOM; as [`Segmentation::save`].
    pub(super) fn write_derived(&self, outputs: &OutputPaths) -> Result<Vec<FileRecord>> {
        let mut written = Vec::new();
        if let Some(path) = &outputs.dicom_seg {
            self.write_segmentation(path, outputs)?;
            written.push(FileRecord { path: path.clone(), sha256: fs::sha256(path)? });
        }
        match outputs.rtstruct.iter().chain(&outputs.secondary_capture).next() {
            Some(path) => Err(Error::unsupported("this form is not written by this version").at(path)),
            None => Ok(written),
        }
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
}
