//! Attributes that are written: tag and value representation (PS3.6).

use dicom_core::VR;

/// `group << 16 | element` and its value representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attribute(pub(super) u32, pub(super) VR);

impl Attribute {
    /// What fills a value to an even number of bytes.
    pub(super) fn padding(self) -> u8 {
        if matches!(self.1, VR::UI | VR::OB | VR::OW | VR::UN) { 0 } else { b' ' }
    }
}

pub(super) const CHARACTER_SET: Attribute = Attribute(0x0008_0005, VR::CS);
pub(super) const INSTANCE_CREATION_DATE: Attribute = Attribute(0x0008_0012, VR::DA);
pub(super) const INSTANCE_CREATION_TIME: Attribute = Attribute(0x0008_0013, VR::TM);
pub(super) const SOP_CLASS: Attribute = Attribute(0x0008_0016, VR::UI);
pub(super) const SOP_INSTANCE: Attribute = Attribute(0x0008_0018, VR::UI);
pub(super) const STUDY_DATE: Attribute = Attribute(0x0008_0020, VR::DA);
pub(super) const SERIES_DATE: Attribute = Attribute(0x0008_0021, VR::DA);
pub(super) const CONTENT_DATE: Attribute = Attribute(0x0008_0023, VR::DA);
pub(super) const STUDY_TIME: Attribute = Attribute(0x0008_0030, VR::TM);
pub(super) const SERIES_TIME: Attribute = Attribute(0x0008_0031, VR::TM);
pub(super) const CONTENT_TIME: Attribute = Attribute(0x0008_0033, VR::TM);
pub(super) const ACCESSION_NUMBER: Attribute = Attribute(0x0008_0050, VR::SH);
pub(super) const MODALITY: Attribute = Attribute(0x0008_0060, VR::CS);
pub(super) const MANUFACTURER: Attribute = Attribute(0x0008_0070, VR::LO);
pub(super) const REFERRING_PHYSICIAN: Attribute = Attribute(0x0008_0090, VR::PN);
pub(super) const STUDY_DESCRIPTION: Attribute = Attribute(0x0008_1030, VR::LO);
pub(super) const SERIES_DESCRIPTION: Attribute = Attribute(0x0008_103e, VR::LO);
pub(super) const MODEL_NAME: Attribute = Attribute(0x0008_1090, VR::LO);
pub(super) const REFERENCED_SERIES: Attribute = Attribute(0x0008_1115, VR::SQ);
pub(super) const REFERENCED_SOP_CLASS: Attribute = Attribute(0x0008_1150, VR::UI);
pub(super) const REFERENCED_SOP_INSTANCE: Attribute = Attribute(0x0008_1155, VR::UI);
pub(super) const REFERENCED_FRAME: Attribute = Attribute(0x0008_1160, VR::IS);
pub(super) const REFERENCED_INSTANCES: Attribute = Attribute(0x0008_114a, VR::SQ);

pub(super) const PATIENT_NAME: Attribute = Attribute(0x0010_0010, VR::PN);
pub(super) const PATIENT_ID: Attribute = Attribute(0x0010_0020, VR::LO);
pub(super) const PATIENT_BIRTH_DATE: Attribute = Attribute(0x0010_0030, VR::DA);
pub(super) const PATIENT_SEX: Attribute = Attribute(0x0010_0040, VR::CS);

pub(super) const DEVICE_SERIAL_NUMBER: Attribute = Attribute(0x0018_1000, VR::LO);
pub(super) const SOFTWARE_VERSIONS: Attribute = Attribute(0x0018_1020, VR::LO);

pub(super) const STUDY: Attribute = Attribute(0x0020_000d, VR::UI);
pub(super) const SERIES: Attribute = Attribute(0x0020_000e, VR::UI);
pub(super) const STUDY_ID: Attribute = Attribute(0x0020_0010, VR::SH);
pub(super) const SERIES_NUMBER: Attribute = Attribute(0x0020_0011, VR::IS);
pub(super) const INSTANCE_NUMBER: Attribute = Attribute(0x0020_0013, VR::IS);
pub(super) const FRAME_OF_REFERENCE: Attribute = Attribute(0x0020_0052, VR::UI);
pub(super) const POSITION_REFERENCE: Attribute = Attribute(0x0020_1040, VR::LO);

pub(super) const IMAGE_TYPE: Attribute = Attribute(0x0008_0008, VR::CS);
pub(super) const CODE_VALUE: Attribute = Attribute(0x0008_0100, VR::SH);
pub(super) const CODE_SCHEME: Attribute = Attribute(0x0008_0102, VR::SH);
pub(super) const CODE_MEANING: Attribute = Attribute(0x0008_0104, VR::LO);
pub(super) const SOURCE_IMAGES: Attribute = Attribute(0x0008_2112, VR::SQ);
pub(super) const DERIVATION_IMAGES: Attribute = Attribute(0x0008_9124, VR::SQ);
pub(super) const DERIVATION_CODE: Attribute = Attribute(0x0008_9215, VR::SQ);

pub(super) const SLICE_THICKNESS: Attribute = Attribute(0x0018_0050, VR::DS);
pub(super) const SPACING_BETWEEN_SLICES: Attribute = Attribute(0x0018_0088, VR::DS);

pub(super) const IMAGE_POSITION: Attribute = Attribute(0x0020_0032, VR::DS);
pub(super) const IMAGE_ORIENTATION: Attribute = Attribute(0x0020_0037, VR::DS);
pub(super) const FRAME_CONTENT: Attribute = Attribute(0x0020_9111, VR::SQ);
pub(super) const PLANE_POSITION: Attribute = Attribute(0x0020_9113, VR::SQ);
pub(super) const PLANE_ORIENTATION: Attribute = Attribute(0x0020_9116, VR::SQ);
pub(super) const FRAME_LABEL: Attribute = Attribute(0x0020_9453, VR::LO);
pub(super) const DIMENSION_INDEX_VALUES: Attribute = Attribute(0x0020_9157, VR::UL);
pub(super) const DIMENSION_ORGANIZATION_UID: Attribute = Attribute(0x0020_9164, VR::UI);
pub(super) const DIMENSION_INDEX_POINTER: Attribute = Attribute(0x0020_9165, VR::AT);
pub(super) const FUNCTIONAL_GROUP_POINTER: Attribute = Attribute(0x0020_9167, VR::AT);
pub(super) const DIMENSION_ORGANIZATIONS: Attribute = Attribute(0x0020_9221, VR::SQ);
pub(super) const DIMENSION_INDEXES: Attribute = Attribute(0x0020_9222, VR::SQ);
pub(super) const DIMENSION_DESCRIPTION: Attribute = Attribute(0x0020_9421, VR::LO);

pub(super) const SAMPLES_PER_PIXEL: Attribute = Attribute(0x0028_0002, VR::US);
pub(super) const PHOTOMETRIC: Attribute = Attribute(0x0028_0004, VR::CS);
pub(super) const NUMBER_OF_FRAMES: Attribute = Attribute(0x0028_0008, VR::IS);
pub(super) const ROWS: Attribute = Attribute(0x0028_0010, VR::US);
pub(super) const COLUMNS: Attribute = Attribute(0x0028_0011, VR::US);
pub(super) const PIXEL_SPACING: Attribute = Attribute(0x0028_0030, VR::DS);
pub(super) const BITS_ALLOCATED: Attribute = Attribute(0x0028_0100, VR::US);
pub(super) const BITS_STORED: Attribute = Attribute(0x0028_0101, VR::US);
pub(super) const HIGH_BIT: Attribute = Attribute(0x0028_0102, VR::US);
pub(super) const PIXEL_REPRESENTATION: Attribute = Attribute(0x0028_0103, VR::US);
pub(super) const PIXEL_PADDING_VALUE: Attribute = Attribute(0x0028_0120, VR::US);
pub(super) const LOSSY_COMPRESSION: Attribute = Attribute(0x0028_2110, VR::CS);
pub(super) const SPATIAL_LOCATIONS_PRESERVED: Attribute = Attribute(0x0028_135a, VR::CS);
pub(super) const PIXEL_MEASURES: Attribute = Attribute(0x0028_9110, VR::SQ);

pub(super) const PURPOSE_OF_REFERENCE: Attribute = Attribute(0x0040_a170, VR::SQ);

pub(super) const SEGMENTATION_TYPE: Attribute = Attribute(0x0062_0001, VR::CS);
pub(super) const SEGMENTS: Attribute = Attribute(0x0062_0002, VR::SQ);
pub(super) const PROPERTY_CATEGORY: Attribute = Attribute(0x0062_0003, VR::SQ);
pub(super) const SEGMENT_NUMBER: Attribute = Attribute(0x0062_0004, VR::US);
pub(super) const SEGMENT_LABEL: Attribute = Attribute(0x0062_0005, VR::LO);
pub(super) const SEGMENT_DESCRIPTION: Attribute = Attribute(0x0062_0006, VR::ST);
pub(super) const ALGORITHM_IDENTIFICATION: Attribute = Attribute(0x0062_0007, VR::SQ);
pub(super) const SEGMENT_ALGORITHM_TYPE: Attribute = Attribute(0x0062_0008, VR::CS);
pub(super) const SEGMENT_ALGORITHM_NAME: Attribute = Attribute(0x0062_0009, VR::LO);
pub(super) const SEGMENT_IDENTIFICATION: Attribute = Attribute(0x0062_000a, VR::SQ);
pub(super) const REFERENCED_SEGMENT: Attribute = Attribute(0x0062_000b, VR::US);
pub(super) const DISPLAY_CIELAB: Attribute = Attribute(0x0062_000d, VR::US);
pub(super) const PROPERTY_TYPE: Attribute = Attribute(0x0062_000f, VR::SQ);
pub(super) const PROPERTY_TYPE_MODIFIER: Attribute = Attribute(0x0062_0011, VR::SQ);
pub(super) const SEGMENTS_OVERLAP: Attribute = Attribute(0x0062_0013, VR::CS);

pub(super) const ALGORITHM_FAMILY: Attribute = Attribute(0x0066_002f, VR::SQ);
pub(super) const ALGORITHM_VERSION: Attribute = Attribute(0x0066_0031, VR::LO);
pub(super) const ALGORITHM_NAME: Attribute = Attribute(0x0066_0036, VR::LO);

pub(super) const CONTENT_LABEL: Attribute = Attribute(0x0070_0080, VR::CS);
pub(super) const CONTENT_DESCRIPTION: Attribute = Attribute(0x0070_0081, VR::LO);
pub(super) const CONTENT_CREATOR: Attribute = Attribute(0x0070_0084, VR::PN);

pub(super) const SHARED_GROUPS: Attribute = Attribute(0x5200_9229, VR::SQ);
pub(super) const PER_FRAME_GROUPS: Attribute = Attribute(0x5200_9230, VR::SQ);
pub(super) const PIXEL_DATA: Attribute = Attribute(0x7fe0_0010, VR::OB);
/// Samples of 16 bits.
pub(super) const PIXEL_DATA_WORDS: Attribute = Attribute(0x7fe0_0010, VR::OW);

pub(super) const CONVERSION_TYPE: Attribute = Attribute(0x0008_0064, VR::CS);
pub(super) const OPERATORS: Attribute = Attribute(0x0008_1070, VR::PN);
pub(super) const PATIENT_ORIENTATION: Attribute = Attribute(0x0020_0020, VR::CS);
pub(super) const LATERALITY: Attribute = Attribute(0x0020_0060, VR::CS);
pub(super) const PLANAR_CONFIGURATION: Attribute = Attribute(0x0028_0006, VR::US);
pub(super) const BURNED_IN_ANNOTATION: Attribute = Attribute(0x0028_0301, VR::CS);

pub(super) const STRUCTURE_SET_LABEL: Attribute = Attribute(0x3006_0002, VR::SH);
pub(super) const STRUCTURE_SET_NAME: Attribute = Attribute(0x3006_0004, VR::LO);
pub(super) const STRUCTURE_SET_DATE: Attribute = Attribute(0x3006_0008, VR::DA);
pub(super) const STRUCTURE_SET_TIME: Attribute = Attribute(0x3006_0009, VR::TM);
pub(super) const REFERENCED_FRAMES_OF_REFERENCE: Attribute = Attribute(0x3006_0010, VR::SQ);
pub(super) const RT_REFERENCED_STUDY: Attribute = Attribute(0x3006_0012, VR::SQ);
pub(super) const RT_REFERENCED_SERIES: Attribute = Attribute(0x3006_0014, VR::SQ);
pub(super) const CONTOUR_IMAGES: Attribute = Attribute(0x3006_0016, VR::SQ);
pub(super) const STRUCTURES: Attribute = Attribute(0x3006_0020, VR::SQ);
pub(super) const ROI_NUMBER: Attribute = Attribute(0x3006_0022, VR::IS);
pub(super) const REFERENCED_FRAME_OF_REFERENCE: Attribute = Attribute(0x3006_0024, VR::UI);
pub(super) const ROI_NAME: Attribute = Attribute(0x3006_0026, VR::LO);
pub(super) const ROI_DISPLAY_COLOR: Attribute = Attribute(0x3006_002a, VR::IS);
pub(super) const ROI_VOLUME: Attribute = Attribute(0x3006_002c, VR::DS);
pub(super) const ROI_ALGORITHM: Attribute = Attribute(0x3006_0036, VR::CS);
pub(super) const ROI_ALGORITHM_DESCRIPTION: Attribute = Attribute(0x3006_0038, VR::LO);
pub(super) const ROI_CONTOURS: Attribute = Attribute(0x3006_0039, VR::SQ);
pub(super) const CONTOURS: Attribute = Attribute(0x3006_0040, VR::SQ);
pub(super) const CONTOUR_TYPE: Attribute = Attribute(0x3006_0042, VR::CS);
pub(super) const CONTOUR_POINTS: Attribute = Attribute(0x3006_0046, VR::IS);
pub(super) const CONTOUR_DATA: Attribute = Attribute(0x3006_0050, VR::DS);
pub(super) const ROI_OBSERVATIONS: Attribute = Attribute(0x3006_0080, VR::SQ);
pub(super) const OBSERVATION_NUMBER: Attribute = Attribute(0x3006_0082, VR::IS);
pub(super) const REFERENCED_ROI_NUMBER: Attribute = Attribute(0x3006_0084, VR::IS);
pub(super) const ROI_CODES: Attribute = Attribute(0x3006_0086, VR::SQ);
pub(super) const ROI_INTERPRETED_TYPE: Attribute = Attribute(0x3006_00a4, VR::CS);
pub(super) const ROI_INTERPRETER: Attribute = Attribute(0x3006_00a6, VR::PN);
pub(super) const APPROVAL_STATUS: Attribute = Attribute(0x300e_0002, VR::CS);

pub(super) const PATIENT_WEIGHT: Attribute = Attribute(0x0010_1030, VR::DS);

/// Patient and study attributes that are passed on as stored (PS3.3, C.7.1.1, C.7.2.1, C.7.2.2).
pub(super) const INHERITED: [Attribute; 20] = [
    STUDY_DATE,
    STUDY_TIME,
    ACCESSION_NUMBER,
    REFERRING_PHYSICIAN,
    STUDY_DESCRIPTION,
    PATIENT_NAME,
    PATIENT_ID,
    Attribute(0x0010_0021, VR::LO),
    PATIENT_BIRTH_DATE,
    Attribute(0x0010_0032, VR::TM),
    PATIENT_SEX,
    Attribute(0x0010_1000, VR::LO),
    Attribute(0x0010_1010, VR::AS),
    Attribute(0x0010_1020, VR::DS),
    PATIENT_WEIGHT,
    Attribute(0x0010_2160, VR::SH),
    Attribute(0x0010_4000, VR::LT),
    Attribute(0x0012_0062, VR::CS),
    Attribute(0x0012_0063, VR::LO),
    STUDY_ID,
];

/// Those among them that must be there, if only without a value.
pub(super) const REQUIRED: [Attribute; 9] = [
    STUDY_DATE,
    STUDY_TIME,
    ACCESSION_NUMBER,
    REFERRING_PHYSICIAN,
    PATIENT_NAME,
    PATIENT_ID,
    PATIENT_BIRTH_DATE,
    PATIENT_SEX,
    STUDY_ID,
];
