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
pub(super) const REFERENCED_INSTANCES: Attribute = Attribute(0x0008_119a, VR::SQ);

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
    Attribute(0x0010_1030, VR::DS),
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
