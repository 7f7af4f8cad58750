//! Structure sets (RTSTRUCT, PS3.3 A.19): contours of structures on the slices of a series.

mod raster;
mod read;

use crate::volume::default_rgb;

/// Contours of structures, as a file has them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StructureSet {
    /// StructureSetLabel.
    pub label: String,
    /// Series Instance UIDs of the images that the contours were drawn on.
    pub series_uids: Vec<String>,
    /// Frame of Reference UIDs that the positions are in.
    pub frame_of_reference_uids: Vec<String>,
    /// Structures in the order of the file, those without contours too.
    pub structures: Vec<Structure>,
}

/// One structure (region of interest).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Structure {
    /// ROINumber.
    pub number: i64,
    /// ROIName.
    pub name: String,
    /// ROIDisplayColor, where the file has one.
    pub rgb: Option<[u8; 3]>,
    /// Its contours in the order of the file.
    pub contours: Vec<Contour>,
}

/// One contour.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Contour {
    /// ContourGeometricType, such as `CLOSED_PLANAR` or `POINT`.
    pub kind: String,
    /// Points in mm, in the patient's coordinates of DICOM (LPS+).
    pub points: Vec<[f64; 3]>,
}

impl Contour {
    /// True when it encloses an area.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.kind.as_str(), "CLOSED_PLANAR" | "CLOSEDPLANAR_XOR")
    }
}

impl Structure {
    /// The file's color, or a made-up one.
    fn color(&self, id: u16) -> [u8; 3] {
        self.rgb.unwrap_or_else(|| default_rgb(id))
    }
}
