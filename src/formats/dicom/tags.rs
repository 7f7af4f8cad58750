//! Tags that are read: `group << 16 | element` (PS3.6).

pub(super) type Tag = u32;

pub(super) const TRANSFER_SYNTAX: Tag = 0x0002_0010;
pub(super) const MEDIA_STORAGE_SOP_CLASS: Tag = 0x0002_0002;
pub(super) const DIRECTORY_RECORDS: Tag = 0x0004_1220;
pub(super) const REFERENCED_FILE: Tag = 0x0004_1500;

pub(super) const IMAGE_TYPE: Tag = 0x0008_0008;
pub(super) const SOP_CLASS: Tag = 0x0008_0016;
pub(super) const SOP_INSTANCE: Tag = 0x0008_0018;
pub(super) const MODALITY: Tag = 0x0008_0060;
pub(super) const MANUFACTURER: Tag = 0x0008_0070;
pub(super) const SERIES_DESCRIPTION: Tag = 0x0008_103e;
pub(super) const COMPLEX_IMAGE_COMPONENT: Tag = 0x0008_9208;

pub(super) const SLICE_THICKNESS: Tag = 0x0018_0050;
pub(super) const REPETITION_TIME: Tag = 0x0018_0080;
pub(super) const ECHO_TIME: Tag = 0x0018_0081;
pub(super) const INVERSION_TIME: Tag = 0x0018_0082;
pub(super) const SPACING_BETWEEN_SLICES: Tag = 0x0018_0088;
pub(super) const EFFECTIVE_ECHO_TIME: Tag = 0x0018_9082;
pub(super) const MR_TIMING: Tag = 0x0018_9112;
pub(super) const MR_ECHO: Tag = 0x0018_9114;
pub(super) const MR_IMAGE_FRAME_TYPE: Tag = 0x0018_9226;
pub(super) const CT_IMAGE_FRAME_TYPE: Tag = 0x0018_9329;
pub(super) const FRAME_TYPE: Tag = 0x0008_9007;

pub(super) const STUDY: Tag = 0x0020_000d;
pub(super) const SERIES: Tag = 0x0020_000e;
pub(super) const SERIES_NUMBER: Tag = 0x0020_0011;
pub(super) const ACQUISITION_NUMBER: Tag = 0x0020_0012;
pub(super) const INSTANCE_NUMBER: Tag = 0x0020_0013;
pub(super) const IMAGE_POSITION: Tag = 0x0020_0032;
pub(super) const IMAGE_ORIENTATION: Tag = 0x0020_0037;
pub(super) const FRAME_OF_REFERENCE: Tag = 0x0020_0052;
pub(super) const TEMPORAL_POSITION: Tag = 0x0020_0100;
pub(super) const STACK: Tag = 0x0020_9056;
pub(super) const FRAME_CONTENT: Tag = 0x0020_9111;
pub(super) const PLANE_POSITION: Tag = 0x0020_9113;
pub(super) const PLANE_ORIENTATION: Tag = 0x0020_9116;
pub(super) const TEMPORAL_POSITION_INDEX: Tag = 0x0020_9128;

pub(super) const IMAGER_PIXEL_SPACING: Tag = 0x0018_1164;
pub(super) const NOMINAL_SCANNED_PIXEL_SPACING: Tag = 0x0018_2010;
pub(super) const PATIENT_ORIENTATION: Tag = 0x0020_0020;
pub(super) const SAMPLES_PER_PIXEL: Tag = 0x0028_0002;
pub(super) const PHOTOMETRIC: Tag = 0x0028_0004;
pub(super) const NUMBER_OF_FRAMES: Tag = 0x0028_0008;
pub(super) const ROWS: Tag = 0x0028_0010;
pub(super) const COLUMNS: Tag = 0x0028_0011;
pub(super) const PIXEL_SPACING: Tag = 0x0028_0030;
pub(super) const BITS_ALLOCATED: Tag = 0x0028_0100;
pub(super) const BITS_STORED: Tag = 0x0028_0101;
pub(super) const HIGH_BIT: Tag = 0x0028_0102;
pub(super) const PIXEL_REPRESENTATION: Tag = 0x0028_0103;
pub(super) const PIXEL_PADDING_VALUE: Tag = 0x0028_0120;
pub(super) const WINDOW_CENTER: Tag = 0x0028_1050;
pub(super) const WINDOW_WIDTH: Tag = 0x0028_1051;
pub(super) const RESCALE_INTERCEPT: Tag = 0x0028_1052;
pub(super) const RESCALE_SLOPE: Tag = 0x0028_1053;
pub(super) const MODALITY_LUT: Tag = 0x0028_3000;
pub(super) const PIXEL_MEASURES: Tag = 0x0028_9110;
pub(super) const PIXEL_VALUE_TRANSFORMATION: Tag = 0x0028_9145;

pub(super) const CODE_VALUE: Tag = 0x0008_0100;
pub(super) const CODE_SCHEME: Tag = 0x0008_0102;
pub(super) const CODE_MEANING: Tag = 0x0008_0104;
pub(super) const SEGMENTATION_TYPE: Tag = 0x0062_0001;
pub(super) const SEGMENTS: Tag = 0x0062_0002;
pub(super) const SEGMENT_NUMBER: Tag = 0x0062_0004;
pub(super) const SEGMENT_LABEL: Tag = 0x0062_0005;
pub(super) const SEGMENT_DESCRIPTION: Tag = 0x0062_0006;
pub(super) const SEGMENT_IDENTIFICATION: Tag = 0x0062_000a;
pub(super) const REFERENCED_SEGMENT: Tag = 0x0062_000b;
pub(super) const DISPLAY_CIELAB: Tag = 0x0062_000d;
pub(super) const MAXIMUM_FRACTION: Tag = 0x0062_000e;
pub(super) const PROPERTY_TYPE: Tag = 0x0062_000f;

pub(super) const CSA_IMAGE_HEADER: Tag = 0x0029_1010;
pub(super) const GRID_FRAME_OFFSETS: Tag = 0x3004_000c;
pub(super) const STRUCTURE_SET_LABEL: Tag = 0x3006_0002;
pub(super) const REFERENCED_FRAMES_OF_REFERENCE: Tag = 0x3006_0010;
pub(super) const RT_REFERENCED_STUDY: Tag = 0x3006_0012;
pub(super) const RT_REFERENCED_SERIES: Tag = 0x3006_0014;
pub(super) const STRUCTURES: Tag = 0x3006_0020;
pub(super) const ROI_NUMBER: Tag = 0x3006_0022;
pub(super) const REFERENCED_FRAME_OF_REFERENCE: Tag = 0x3006_0024;
pub(super) const ROI_NAME: Tag = 0x3006_0026;
pub(super) const ROI_DISPLAY_COLOR: Tag = 0x3006_002a;
pub(super) const ROI_CONTOURS: Tag = 0x3006_0039;
pub(super) const CONTOURS: Tag = 0x3006_0040;
pub(super) const CONTOUR_TYPE: Tag = 0x3006_0042;
pub(super) const CONTOUR_DATA: Tag = 0x3006_0050;
pub(super) const REFERENCED_ROI_NUMBER: Tag = 0x3006_0084;
pub(super) const SHARED_GROUPS: Tag = 0x5200_9229;
pub(super) const PER_FRAME_GROUPS: Tag = 0x5200_9230;

pub(super) const EXTENDED_OFFSETS: Tag = 0x7fe0_0001;
pub(super) const FLOAT_PIXEL_DATA: Tag = 0x7fe0_0008;
pub(super) const DOUBLE_PIXEL_DATA: Tag = 0x7fe0_0009;
pub(super) const PIXEL_DATA: Tag = 0x7fe0_0010;

pub(super) const ITEM: Tag = 0xfffe_e000;
pub(super) const ITEM_END: Tag = 0xfffe_e00d;
pub(super) const SEQUENCE_END: Tag = 0xfffe_e0dd;

pub(super) const PATIENT_NAME: Tag = 0x0010_0010;

/// Patient and study attributes that every object derived from a series repeats (PS3.3 C.7.1.1, C.7.2.1, C.7.4.1), with
/// the character set that they are written in.
pub(super) const INHERITED: [Tag; 24] = [
    0x0008_0005,
    0x0008_0020,
    0x0008_0030,
    0x0008_0050,
    0x0008_0090,
    0x0008_1030,
    PATIENT_NAME,
    0x0010_0020,
    0x0010_0021,
    0x0010_0030,
    0x0010_0032,
    0x0010_0040,
    0x0010_1000,
    0x0010_1010,
    0x0010_1020,
    0x0010_1030,
    0x0010_2160,
    0x0010_4000,
    0x0012_0062,
    0x0012_0063,
    0x0020_000d,
    0x0020_0010,
    0x0020_0052,
    0x0020_1040,
];

/// `(gggg,eeee)`.
pub(super) fn name(tag: Tag) -> String {
    format!("({:04X},{:04X})", tag >> 16, tag & 0xffff)
}
