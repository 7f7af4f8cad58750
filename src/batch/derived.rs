//! DICOM objects derived from the series that was segmented.

#[cfg(feature = "dicom")]
use std::borrow::Cow;
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
use crate::volume::{LabelMap, Source, SourceKind, Volume};

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
        let (labels, source) = self.by_slice()?;
        dicom::write_segmentation(path, labels, &source, &options)
    }

    #[cfg(not(feature = "dicom"))]
    fn write_segmentation(&self, path: &Path, _: &OutputPaths) -> Result<()> {
        Err(crate::formats::not_dicom().at(path))
    }

    #[cfg(feature = "dicom")]
    fn write_structures(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        let (labels, source) = self.by_slice()?;
        dicom::write_structures(path, labels, &source, &self.title(), overwrite)
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
        let (labels, source) = self.by_slice()?;
        let image = self.image_by_slice()?;
        let pixels = |picture: RgbPicture| (picture.size, picture.rgb);
        // Volumes are those of the label volume.
        let volumes = Captures::new(&self.inputs.channels[0], self.labels(), &options)?;
        let legend = pixels(volumes.legend(&self.title())?);
        let captures = Captures::new(&image, labels, &options)?;
        let slice = |n| captures.slice(n).map(pixels);
        dicom::write_captures(folder, &source, legend, slice, &self.title(), overwrite)
    }

    /// The labels with k counting the slices of the series, and its source likewise.
    #[cfg(feature = "dicom")]
    fn by_slice(&self) -> Result<(&LabelMap, Cow<'_, Source>)> {
        let source = &self.inputs.source;
        Ok(match (&self.outcome.slices, source.by_slice()?) {
            (Some(slices), Some(own)) => (slices, Cow::Owned(own)),
            _ => (self.labels(), Cow::Borrowed(source)),
        })
    }

    /// The first channel with k counting the slices of the series.
    #[cfg(feature = "dicom")]
    fn image_by_slice(&self) -> Result<Cow<'_, Volume>> {
        let volume = &self.inputs.channels[0];
        Ok(match (&self.inputs.slices, self.inputs.source.places()) {
            (Some(slices), _) => Cow::Borrowed(slices),
            (None, Some(places)) => volume.slices(places)?.map_or(Cow::Borrowed(volume), Cow::Owned),
            (None, None) => Cow::Borrowed(volume),
        })
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
