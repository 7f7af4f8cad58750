//! From a stack to voxels.

use std::ops::Range;
use std::path::PathBuf;

use rayon::prelude::*;

use super::data_set::DataSet;
use super::gap;
use super::instance::{Content, Instance};
use super::multiframe;
use super::part10::DicomFile;
use super::pixels::{self, Frames};
use super::plane::{self, Layout, Plane};
use super::series::PlaneId;
use super::stack::Stack;
use super::tags;
use crate::error::{Error, Result};
use crate::formats::{DataType, Form, Format, Probe, ReadOptions, Sample};
use crate::geometry::{Grid, Orientation, slices_at};
use crate::limits::{self, Limits};
use crate::volume::{DicomAttribute, DicomSlice, DicomSource};

/// The voxels of one volume.
#[derive(Debug)]
pub(super) struct Voxels<T> {
    /// On the grid of the stack.
    pub(super) grid: Vec<T>,
    /// Of slices that it does not have, where they were asked for.
    pub(super) slices: Option<Vec<T>>,
}

impl Stack {
    /// Volumes at the same place.
    pub(super) fn volumes(&self) -> usize {
        self.slices.first().map_or(0, Vec::len)
    }

    fn first<'a>(&self, instances: &'a [Instance]) -> Option<(&'a Plane, &'a Instance)> {
        self.slices.first()?.first()?.of(instances)
    }

    /// Slices of the grid.
    fn depth(&self) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
        let depth = |places: &Vec<f64>| places.last().map_or(0, |last| last.round() as usize + 1);
        self.places.as_ref().map_or(self.slices.len(), depth)
    }

    /// mm from slice to slice of the even grid that all slices are at.
    fn slice_distance(&self, instances: &[Instance]) -> Option<f64> {
        let is_even = self.places.as_ref().is_none_or(|places| slices_at(places).is_some());
        let is_placed = self.first(instances).is_some_and(|(plane, _)| !plane.position_text.is_empty());
        self.grid(instances).filter(|_| is_even && is_placed).map(|grid| grid.slice_distance())
    }

    /// Where the voxels are.
    pub(super) fn grid(&self, instances: &[Instance]) -> Option<Grid> {
        self.grid_in(instances, None)
    }

    /// Where the voxels are; `assumed` is the orientation that the user vouches for where the files do not say.
    fn grid_in(&self, instances: &[Instance], assumed: Option<Orientation>) -> Option<Grid> {
        let (_, instance) = self.first(instances)?;
        let (rows, columns) = plane_size(instance)?;
        let shape = [columns, rows, self.depth()];
        if self.is_oriented {
            return Grid::new(shape, self.affine).ok();
        }
        Grid::unplaced(shape, self.affine.spacing(), assumed).ok()
    }

    /// What the headers say.
    pub(super) fn probe(&self, instances: &[Instance], path: PathBuf, assumed: Option<Orientation>) -> Result<Probe> {
        let lost = || Error::internal("a stack has no first plane");
        let (_, instance) = self.first(instances).ok_or_else(lost)?;
        let grid = self.grid_in(instances, assumed).ok_or_else(lost)?;
        let format = instance.format.ok_or_else(lost)?;
        let mut shape: Vec<u64> = grid.shape().iter().map(|&n| n as u64).collect();
        if self.volumes() > 1 {
            shape.push(self.volumes() as u64);
        }
        Ok(Probe {
            path,
            voxel_file: None,
            format: Format::Dicom,
            gzip: false,
            big_endian: instance.syntax.encoding.big_endian,
            shape,
            grid,
            form: if self.is_oriented { Form::Planes } else { Form::None },
            sform_code: 0,
            qform_code: 0,
            data_type: if self.is_scaled_by_slice(instances) { DataType::Float32 } else { format.data_type() },
            scaling: self.scaling(instances),
            units: ("mm", "unknown"),
            intent: String::new(),
            intent_name: String::new(),
            description: instance.description.clone(),
            extensions: Vec::new(),
            warnings: self.warnings.clone(),
        })
    }

    /// True when slope and intercept differ from plane to plane.
    fn is_scaled_by_slice(&self, instances: &[Instance]) -> bool {
        let mut planes = self.slices.iter().flatten().filter_map(|id| id.of(instances));
        let first = planes.next().map(|(plane, _)| plane.rescale);
        planes.any(|(plane, _)| Some(plane.rescale) != first)
    }

    /// Slope and intercept where all planes have the same and it does something.
    fn scaling(&self, instances: &[Instance]) -> Option<(f64, f64)> {
        let (first, _) = self.first(instances)?;
        Some(first.rescale).filter(|&rescale| rescale != (1.0, 0.0) && !self.is_scaled_by_slice(instances))
    }

    /// The samples of the volumes `times`, i fastest, after slope and intercept of each plane; each file is read once.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when a file cannot be read or decoded, or is not what it was when it was
    /// scanned; [`crate::ErrorKind::Limit`] when the memory cannot be had.
    pub(super) fn voxels<T: Sample>(
        &self,
        instances: &[Instance],
        times: Range<usize>,
        options: &ReadOptions,
    ) -> Result<Vec<Voxels<T>>> {
        let limits = &options.limits;
        let grid = self.grid(instances).ok_or_else(|| Error::internal("a stack has no grid"))?;
        let [columns, rows, depth] = grid.shape();
        let voxels = limits.voxels(&[columns as u64, rows as u64, depth as u64, times.len() as u64])?;
        limits.bytes(voxels.saturating_mul(size_of::<T>() as u64), "the volume")?;
        let plane_len = columns * rows;
        let empty = |_| limits::zeroed::<T>(plane_len * self.slices.len(), "the volume");
        let mut volumes = times.clone().map(empty).collect::<Result<Vec<_>>>()?;
        let mut jobs = Vec::new();
        for (time, data) in times.zip(&mut volumes) {
            let ids = self.slices.iter().filter_map(|slice| slice.get(time));
            let planes = ids.zip(data.chunks_mut(plane_len));
            jobs.extend(planes.filter_map(|(&id, out)| Some(Job { id, plane: id.of(instances)?.0, out })));
        }
        jobs.sort_by_key(|job| (job.id.file, job.plane.frame));
        let mut files: Vec<&mut [Job<'_, T>]> = jobs.chunk_by_mut(|a, b| a.id.file == b.id.file).collect();
        files.par_iter_mut().try_for_each(|jobs| match instances.get(jobs[0].id.file) {
            Some(instance) => read_planes(instance, jobs, options),
            None => Err(Error::internal("a plane has no file")),
        })?;
        let keeps = options.keep_slices && self.places.as_ref().is_some_and(|places| slices_at(places).is_none());
        let even = |data: Vec<T>| match &self.places {
            Some(places) => {
                let grid = gap::resample(&data, places, depth)?;
                Ok(Voxels { grid, slices: keeps.then_some(data) })
            }
            None => Ok(Voxels { grid: data, slices: None }),
        };
        volumes.into_iter().map(even).collect()
    }

    /// What a writer needs to refer to the slices of volume `time`.
    ///
    /// # Errors
    /// As [`Stack::voxels`].
    pub(super) fn source(&self, instances: &[Instance], time: usize, limits: &Limits) -> Result<DicomSource> {
        let (plane, first) = self.first(instances).ok_or_else(|| Error::internal("a stack has no first plane"))?;
        let file = DicomFile::open(&first.path, limits)?.ok_or_else(|| changed(first))?;
        let header = file.parse().data_set;
        let inherited = tags::INHERITED.iter().filter_map(|&tag| header.get(tag));
        let attributes =
            inherited.map(|element| DicomAttribute { tag: element.tag, value: element.bytes.to_vec() }).collect();
        let slices = self.slices.iter().filter_map(|times| times.get(time)?.of(instances));
        let padding = header.get(tags::PIXEL_PADDING_VALUE).and_then(|_| header.unsigned(tags::PIXEL_PADDING_VALUE));
        Ok(DicomSource {
            study_uid: first.study.clone(),
            series_uid: first.series.clone(),
            series_number: first.series_number,
            frame_of_reference_uid: header.string(tags::FRAME_OF_REFERENCE),
            modality: first.modality.clone(),
            pixel_spacing: plane.spacing_text.clone(),
            monochrome1: first.format.is_some_and(|format| format.low_is_bright),
            window: window(&header),
            time_step: repetition_time(&header),
            padding: padding.zip(first.format).map(|(value, format)| pixels::stored(value, format)),
            slices: slices
                .map(|(plane, instance)| DicomSlice {
                    path: instance.path.clone(),
                    sop_class_uid: instance.sop_class.clone(),
                    sop_instance_uid: instance.sop_instance.clone(),
                    frame: is_one_of_several(instance).then_some(plane.frame + 1),
                    number: if is_one_of_several(instance) { plane::as_order(plane.frame) } else { plane.order[2] },
                    position: plane.position_text.clone(),
                    orientation: plane.orientation_text.clone(),
                })
                .collect(),
            places: self.places.clone(),
            slice_distance: self.slice_distance(instances),
            slice_thickness: plane.thickness,
            attributes,
        })
    }
}

/// The first window (PS3.3, C.11.2.1.2.1) as the values that become black and white.
fn window(header: &DataSet<'_>) -> Option<[f64; 2]> {
    let first = |tag| header.number(tag).ok().flatten();
    let (center, width) = (first(tags::WINDOW_CENTER)?, first(tags::WINDOW_WIDTH)?);
    let half = 0.5 * (width - 1.0);
    (half > 0.0).then_some([center - 0.5 - half, center - 0.5 + half])
}

/// Seconds from one volume to the next, as far as the repetition time says.
fn repetition_time(header: &DataSet<'_>) -> Option<f64> {
    let classic = header.number(tags::REPETITION_TIME).ok().flatten();
    let ms = classic.or_else(|| multiframe::repetition_time(header))?;
    (ms > 0.0).then_some(ms / 1000.0)
}

fn is_one_of_several(instance: &Instance) -> bool {
    instance.format.is_some_and(|format| format.frames > 1)
}

/// Rows and columns of a plane: those of a tile where the image is a mosaic.
fn plane_size(instance: &Instance) -> Option<(usize, usize)> {
    match &instance.content {
        Content::Planes(_, Layout::Mosaic(tiling)) => Some((tiling.rows, tiling.columns)),
        _ => instance.format.map(|format| (format.rows as usize, format.columns as usize)),
    }
}

struct Job<'a, T> {
    id: PlaneId,
    plane: &'a Plane,
    out: &'a mut [T],
}

fn changed(instance: &Instance) -> Error {
    Error::malformed("the file changed after the folder was scanned").at(&instance.path)
}

/// Reads the planes that one file holds; frames are decoded in parallel, each once.
fn read_planes<T: Sample>(instance: &Instance, jobs: &mut [Job<'_, T>], options: &ReadOptions) -> Result<()> {
    let limits = &options.limits;
    let expected = instance.format.ok_or_else(|| changed(instance))?;
    let file = DicomFile::open_whole(&instance.path, expected.bytes(), limits)?;
    let frames = Frames::of(&file, limits)?;
    if frames.format != expected {
        return Err(changed(instance));
    }
    let mut by_frame: Vec<&mut [Job<'_, T>]> = jobs.chunk_by_mut(|a, b| a.plane.frame == b.plane.frame).collect();
    by_frame.par_iter_mut().try_for_each(|jobs| {
        let frame = frames.decode(jobs[0].plane.frame).map_err(|e| e.at(&instance.path))?;
        for job in jobs.iter_mut() {
            let invert = options.invert_monochrome1 && expected.low_is_bright;
            let rescale = job.plane.rescale;
            let (slope, intercept) = if invert { expected.inverted(rescale) } else { rescale };
            let scaled = |value: f64| T::from_f64(value * slope + intercept);
            match (&instance.content, job.plane.tile) {
                (Content::Planes(_, Layout::Mosaic(tiling)), Some(tile)) => {
                    pixels::convert(&frame, expected, tiling.runs(tile), job.out, scaled);
                }
                _ => pixels::convert(&frame, expected, std::iter::once(0..expected.samples()), job.out, scaled),
            }
        }
        Ok(())
    })
}
