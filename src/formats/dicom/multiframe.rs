//! Enhanced multi-frame images: functional groups of each frame, then those that all frames share (PS3.3, C.7.6.16).

use super::data_set::DataSet;
use super::pixels::PixelFormat;
use super::plane::{self, Plane};
use super::tags::{self, Tag};

/// The groups of one frame.
struct Groups<'a> {
    frame: &'a DataSet<'a>,
    shared: Option<&'a DataSet<'a>>,
}

impl<'a> Groups<'a> {
    fn get(&self, tag: Tag) -> Result<Option<DataSet<'a>>, String> {
        match (self.frame.item(tag)?, self.shared) {
            (Some(group), _) => Ok(Some(group)),
            (None, Some(shared)) => shared.item(tag),
            (None, None) => Ok(None),
        }
    }

    fn need(&self, tag: Tag, name: &str) -> Result<DataSet<'a>, String> {
        self.get(tag)?.ok_or_else(|| format!("the functional groups have no {name}"))
    }
}

/// The planes of all frames.
pub(super) fn planes(data_set: &DataSet<'_>, format: PixelFormat) -> Result<Vec<Plane>, String> {
    let shared = data_set.item(tags::SHARED_GROUPS)?;
    let frames = data_set.items(tags::PER_FRAME_GROUPS)?;
    if frames.len() != format.frames as usize {
        return Err(format!("functional groups are given for {} of {} frames", frames.len(), format.frames));
    }
    let instance = data_set.integer(tags::INSTANCE_NUMBER).unwrap_or(0);
    let planes = frames.iter().enumerate();
    planes
        .map(|(n, frame)| {
            let groups = Groups { frame, shared: shared.as_ref() };
            plane(data_set, &groups, n, instance).map_err(|message| format!("frame {}: {message}", n + 1))
        })
        .collect()
}

/// Repetition time in ms, by the first frame.
pub(super) fn repetition_time(data_set: &DataSet<'_>) -> Option<f64> {
    let shared = data_set.item(tags::SHARED_GROUPS).ok()?;
    let frame = data_set.item(tags::PER_FRAME_GROUPS).ok()??;
    let timing = Groups { frame: &frame, shared: shared.as_ref() }.get(tags::MR_TIMING).ok()??;
    timing.number(tags::REPETITION_TIME).ok()?
}

fn plane(data_set: &DataSet<'_>, groups: &Groups<'_>, n: usize, instance: i64) -> Result<Plane, String> {
    let position = groups.need(tags::PLANE_POSITION, "plane position")?;
    let orientation = groups.need(tags::PLANE_ORIENTATION, "plane orientation")?;
    let measures = groups.need(tags::PIXEL_MEASURES, "pixel measures")?;
    let transformation = groups.get(tags::PIXEL_VALUE_TRANSFORMATION)?;
    let content = groups.get(tags::FRAME_CONTENT)?;
    let frame_type = match groups.get(tags::MR_IMAGE_FRAME_TYPE)? {
        Some(group) => Some(group),
        None => groups.get(tags::CT_IMAGE_FRAME_TYPE)?,
    };
    let echo = groups.get(tags::MR_ECHO)?.and_then(|group| group.double(tags::EFFECTIVE_ECHO_TIME));
    let text = |group: &Option<DataSet<'_>>, tag| group.as_ref().map_or_else(String::new, |group| group.string(tag));
    let time = content.as_ref().and_then(|group| group.unsigned(tags::TEMPORAL_POSITION_INDEX)).unwrap_or(0);
    let (row, column) = plane::orientation(&orientation)?;
    Ok(Plane {
        frame: n,
        tile: None,
        position: plane::vector(&position, tags::IMAGE_POSITION, "ImagePositionPatient")?,
        row,
        column,
        spacing: plane::spacing(&measures)?,
        thickness: measures.number(tags::SLICE_THICKNESS).unwrap_or_default().filter(|&mm| mm > 0.0),
        between: measures.number(tags::SPACING_BETWEEN_SLICES).unwrap_or_default().filter(|&mm| mm > 0.0),
        rescale: plane::rescale(transformation.as_ref().unwrap_or(data_set))?,
        order: [i64::from(time), instance, plane::as_order(n)],
        kind: format!(
            "{}|{}|{}|{}",
            plane::echo_name(echo),
            text(&frame_type, tags::FRAME_TYPE),
            text(&frame_type, tags::COMPLEX_IMAGE_COMPONENT),
            text(&content, tags::STACK)
        ),
        position_text: position.string(tags::IMAGE_POSITION),
        orientation_text: orientation.string(tags::IMAGE_ORIENTATION),
        spacing_text: measures.string(tags::PIXEL_SPACING),
        is_oriented: true,
        notes: Vec::new(),
    })
}
