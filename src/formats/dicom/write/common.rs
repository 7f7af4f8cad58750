//! What all objects derived from a series have in common: patient, study, series, equipment, references to the source
//! (PS3.3, C.7.1.1, C.7.2.1, C.7.3.1, C.7.4.1, C.7.5.2, C.12.1).

use std::borrow::Cow;
use std::collections::HashSet;

use super::attributes::*;
use super::object::Object;
use super::uid::{Moment, new_uid};
use crate::error::{Error, Result};
use crate::formats::not_dicom;
use crate::volume::{DicomSlice, DicomSource, LabelMap, Source, SourceKind};

/// Text of our own in any character goes beside text of the source in ASCII; beside any other it is written in ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repertoire {
    Utf8,
    Ascii,
}

impl Repertoire {
    fn of(source: &DicomSource) -> Self {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t' | 0);
        let all_plain = source.attributes.iter().all(|attribute| attribute.value.iter().all(is_plain));
        if all_plain || character_set(source).is_some_and(|set| set.trim_ascii() == b"ISO_IR 192") {
            Self::Utf8
        } else {
            Self::Ascii
        }
    }

    /// `text` of at most `longest` characters without backslashes, which part values, and control characters.
    pub(super) fn text(self, text: &str, longest: usize) -> String {
        let character = |c: char| match c {
            '\\' => '/',
            c if c.is_control() => ' ',
            c if self == Self::Ascii && !c.is_ascii() => '?',
            c => c,
        };
        text.trim().chars().take(longest).map(character).collect()
    }
}

/// The source's SpecificCharacterSet as stored.
fn character_set(source: &DicomSource) -> Option<&[u8]> {
    source.attributes.iter().find(|attribute| attribute.tag == CHARACTER_SET.0).map(|attribute| &*attribute.value)
}

/// What kind of object a series of results holds.
#[derive(Debug, Clone)]
pub(super) struct Kind<'a> {
    pub(super) sop_class: &'a str,
    pub(super) modality: &'a str,
    pub(super) description: Cow<'a, str>,
    /// Added to a hundred times the number of the source's series.
    pub(super) number: i64,
}

/// A new series of results in the source's study.
#[derive(Debug)]
pub(super) struct NewSeries<'a> {
    source: &'a DicomSource,
    kind: Kind<'a>,
    uid: String,
    frame_of_reference: String,
    pub(super) now: Moment,
    pub(super) repertoire: Repertoire,
}

impl<'a> NewSeries<'a> {
    /// A new series beside the one that `source` was read from.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when files of the source lack the identifiers to refer to them.
    pub(super) fn beside(source: &'a DicomSource, kind: Kind<'a>) -> Result<Self> {
        let lacks = |name: &str| {
            Error::malformed(format!("the source has no {name}: no DICOM object can refer to it"))
                .hint("write the labels with --format nifti")
        };
        if source.study_uid.is_empty() || source.series_uid.is_empty() {
            return Err(lacks("StudyInstanceUID or SeriesInstanceUID"));
        }
        if let Some(slice) = source.slices.iter().find(|s| s.sop_class_uid.is_empty() || s.sop_instance_uid.is_empty())
        {
            return Err(lacks("SOPClassUID or SOPInstanceUID").at(&slice.path));
        }
        let frame_of_reference = match source.frame_of_reference_uid.as_str() {
            // Positions are then told apart from those of any other series; the references say what they belong to.
            "" => new_uid(),
            uid => uid.to_owned(),
        };
        let repertoire = Repertoire::of(source);
        Ok(Self { source, kind, uid: new_uid(), frame_of_reference, now: Moment::now(), repertoire })
    }

    /// A new object of the series with all modules that do not depend on its kind.
    pub(super) fn instance(&self, number: usize) -> Object {
        let Moment { date, time } = &self.now;
        let empty = REQUIRED.iter().fold(Object::default(), |object, &attribute| object.empty(attribute));
        let inherited = self.source.attributes.iter().fold(empty, |object, attribute| {
            match INHERITED.iter().find(|inherited| inherited.0 == attribute.tag) {
                Some(&inherited) => object.bytes(inherited, attribute.value.clone()),
                None => object,
            }
        });
        let series_number = self.source.series_number.and_then(|n| n.checked_mul(100)?.checked_add(self.kind.number));
        let series_number = series_number.filter(|n| (0..=i64::from(i32::MAX)).contains(n)).unwrap_or(self.kind.number);
        let object = match self.repertoire {
            Repertoire::Utf8 => inherited.text(CHARACTER_SET, "ISO_IR 192"),
            Repertoire::Ascii => {
                inherited.bytes(CHARACTER_SET, character_set(self.source).unwrap_or_default().to_vec())
            }
        };
        object
            .text(SOP_CLASS, self.kind.sop_class)
            .text(SOP_INSTANCE, new_uid())
            .text(INSTANCE_CREATION_DATE, date)
            .text(INSTANCE_CREATION_TIME, time)
            .text(CONTENT_DATE, date)
            .text(CONTENT_TIME, time)
            .text(INSTANCE_NUMBER, number.to_string())
            .text(STUDY, &self.source.study_uid)
            .text(SERIES, &self.uid)
            .text(SERIES_DATE, date)
            .text(SERIES_TIME, time)
            .text(SERIES_NUMBER, series_number.to_string())
            .text(SERIES_DESCRIPTION, self.repertoire.text(&self.kind.description, 64))
            .text(MODALITY, self.kind.modality)
            .text(FRAME_OF_REFERENCE, &self.frame_of_reference)
            .bytes(POSITION_REFERENCE, self.position_reference().to_vec())
            .text(MANUFACTURER, "unet-vol")
            .text(MODEL_NAME, "unet-vol")
            .text(DEVICE_SERIAL_NUMBER, "1")
            .text(SOFTWARE_VERSIONS, env!("CARGO_PKG_VERSION"))
    }

    fn position_reference(&self) -> &[u8] {
        let found = self.source.attributes.iter().find(|attribute| attribute.tag == POSITION_REFERENCE.0);
        found.map_or(&[], |attribute| &attribute.value)
    }

    /// Identifier of the frame of reference that positions are in.
    pub(super) fn frame_of_reference(&self) -> &str {
        &self.frame_of_reference
    }
}

/// The DICOM part of a source, for objects that are derived from one.
///
/// # Errors
/// [`crate::ErrorKind::Unsupported`] for a source of another format.
pub(super) fn dicom_source(source: &Source) -> Result<&DicomSource> {
    match &source.kind {
        SourceKind::Dicom(dicom) => Ok(dicom),
        _ => Err(source.path.iter().fold(not_dicom(), |error, path| error.at(path))),
    }
}

/// Labels and their source with k counting the source's slices: where those were resampled to an even grid that has them
/// all, they are picked from it.
///
/// # Errors
/// [`crate::ErrorKind::Usage`] when the labels are on no grid of the source, or on an even one that lacks slices.
pub(super) fn by_slice<'a>(labels: &'a LabelMap, source: &'a Source) -> Result<(Cow<'a, LabelMap>, Cow<'a, Source>)> {
    if let Some(difference) = labels.grid().difference(&source.grid) {
        return Err(Error::usage(format!("the labels do not lie on the slices of the series: {difference}")));
    }
    let (Some(own), Some(places)) = (source.by_slice()?, source.places()) else {
        return Ok((Cow::Borrowed(labels), Cow::Borrowed(source)));
    };
    let Some(ids) = labels.ids.slices(places)? else {
        return Err(Error::usage("the slices of the series lie between those of the even grid that the labels are on")
            .hint(
                "decide labels where the slices are (Pipeline::segment_slices) and give them with Source::by_slice",
            ));
    };
    Ok((Cow::Owned(LabelMap::new(ids, labels.table.clone())), Cow::Owned(own)))
}

/// False for a projection, which has no place in the patient: what is derived from it has none either.
pub(super) fn is_placed(source: &DicomSource) -> bool {
    source.slices.iter().all(|slice| !slice.position.is_empty())
}

/// ReferencedSeriesSequence: the source's series with all of its instances, each once.
pub(super) fn referenced_series(source: &DicomSource) -> Object {
    Object::default().text(SERIES, &source.series_uid).items(REFERENCED_INSTANCES, instances(source).map(instance))
}

/// The source's slices, of each file the first.
pub(super) fn instances(source: &DicomSource) -> impl Iterator<Item = &DicomSlice> {
    let mut seen = HashSet::new();
    source.slices.iter().filter(move |slice| seen.insert(slice.sop_instance_uid.as_str()))
}

/// A reference to the file of a slice.
pub(super) fn instance(slice: &DicomSlice) -> Object {
    Object::default()
        .text(REFERENCED_SOP_CLASS, &slice.sop_class_uid)
        .text(REFERENCED_SOP_INSTANCE, &slice.sop_instance_uid)
}

/// A reference to the image of a slice: its file, and its frame where it is one of several.
pub(super) fn image(slice: &DicomSlice) -> Object {
    match slice.frame {
        Some(frame) => instance(slice).text(REFERENCED_FRAME, frame.to_string()),
        None => instance(slice),
    }
}
