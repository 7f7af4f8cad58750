//! In which forms labels are written.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::inputs::stem;
use crate::error::{Error, Result};
use crate::formats;

/// A form in which labels are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OutputFormat {
    /// A NIfTI label volume.
    Nifti,
    /// A DICOM segmentation (SEG).
    DicomSeg,
    /// DICOM structures: contours on the slices (RTSTRUCT).
    Rtstruct,
    /// A series of DICOM pictures with the labels in color: a folder.
    SecondaryCapture,
}

impl OutputFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nifti, Self::DicomSeg, Self::Rtstruct, Self::SecondaryCapture];

    /// Name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nifti => "nifti",
            Self::DicomSeg => "dicom-seg",
            Self::Rtstruct => "rtstruct",
            Self::SecondaryCapture => "secondary-capture",
        }
    }

    /// True for what is derived from a DICOM series and refers to its images.
    #[must_use]
    pub fn is_dicom(self) -> bool {
        self != Self::Nifti
    }

    /// What follows the name of a study in that of this output.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Nifti => "_seg.nii.gz",
            Self::DicomSeg => "_seg.dcm",
            Self::Rtstruct => "_rtstruct.dcm",
            Self::SecondaryCapture => "_capture",
        }
    }

    /// Where this output goes when the label volume, or what stands for it, goes to `output`: `labels.nii.gz`,
    /// `labels.dcm`, `labels_rtstruct.dcm`, `labels_capture/`; a `_seg` at the end of the name is not repeated.
    #[must_use]
    pub fn beside(self, output: &Path) -> PathBuf {
        let name = stem(output).to_string_lossy().into_owned();
        let study = name.strip_suffix("_seg").unwrap_or(&name);
        let is_plain = output.to_string_lossy().to_ascii_lowercase().ends_with(".nii");
        output.with_file_name(match self {
            Self::Nifti if formats::is_picture(output) => return output.to_owned(),
            Self::Nifti if is_plain => format!("{name}.nii"),
            Self::Nifti => format!("{name}.nii.gz"),
            Self::DicomSeg => format!("{name}.dcm"),
            Self::Rtstruct | Self::SecondaryCapture => format!("{study}{}", self.suffix()),
        })
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OutputFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(text.trim()));
        named.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::usage(format!("{text:?} is no output format: there are {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places() {
        for format in OutputFormat::ALL {
            assert_eq!(format.name().parse::<OutputFormat>().unwrap(), format);
        }
        assert!("dicom".parse::<OutputFormat>().is_err());
        for (output, places) in [
            ("a/t1_seg.nii.gz", ["a/t1_seg.nii.gz", "a/t1_seg.dcm", "a/t1_rtstruct.dcm", "a/t1_capture"]),
            ("x.nii", ["x.nii", "x.dcm", "x_rtstruct.dcm", "x_capture"]),
            ("x.dcm", ["x.nii.gz", "x.dcm", "x_rtstruct.dcm", "x_capture"]),
        ] {
            assert_eq!(OutputFormat::ALL.map(|format| format.beside(Path::new(output))), places.map(PathBuf::from));
        }
    }
}
