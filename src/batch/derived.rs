//! DICOM objects derived from the series that was segmented.

use super::one::Segmentation;
use super::outputs::OutputPaths;
use crate::error::{Error, Result};
use crate::report::FileRecord;

impl Segmentation {
    /// Writes the DICOM objects among `outputs` and returns their files.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] when the study was not read from DICOM; as [`Segmentation::save`].
    pub(super) fn write_derived(&self, outputs: &OutputPaths) -> Result<Vec<FileRecord>> {
        let wanted = [&outputs.dicom_seg, &outputs.rtstruct, &outputs.secondary_capture];
        match wanted.into_iter().flatten().next() {
            Some(path) => Err(Error::unsupported("DICOM objects are not written by this version").at(path)),
            None => Ok(Vec::new()),
        }
    }
}
