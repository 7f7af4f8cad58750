//! Pictures as volumes: PNG, JPEG and TIFF, one of them, a TIFF of several pages or a folder of numbered files.
//!
//! i runs along columns, j along rows, k along pages or files in the natural order of their names (2 before 10).
//! Pictures say nothing about the world: the spacing is 1 mm (with a warning) or what [`ReadOptions::input_spacing`]
//! says, and where left and right are is not known. Grey samples are taken as they are; color is grey only where red,
//! green and blue agree everywhere, and otherwise read one channel at a time ([`ReadOptions::color`]).

mod decode;
mod names;
mod write;

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use self::decode::{Kind, Take};
pub(crate) use self::write::is_picture;
pub(super) use self::write::write_labels;
use super::{DataType, Form, Format, LabelStudy, Probe, ReadOptions, Sample, Study};
use crate::error::{Error, Result, Warning};
use crate::fs;
use crate::geometry::Grid;
use crate::limits;
use crate::volume::{LabelMap, LabelTable, Source, SourceKind, Volume};

/// Bytes by which a picture is known.
const HEAD: u64 = 8;

/// Pictures of one size, whose headers were read.
#[derive(Debug)]
pub(super) struct Pictures {
    path: PathBuf,
    kind: Kind,
    files: Vec<PathBuf>,
    /// Columns, rows, and pages or files.
    shape: [usize; 3],
    data_type: DataType,
    warnings: Vec<Warning>,
}

/// True when these first bytes of a file are those of a picture that is read.
pub(super) fn is_read(head: &[u8]) -> bool {
    Kind::of(head).is_some()
}

impl Pictures {
    /// Reads the headers of one file.
    pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Self> {
        Self::of_files(path, vec![path.to_owned()], options)
    }

    /// Reads the headers of the pictures in a folder; `None` where there are none.
    pub(super) fn open_folder(path: &Path, options: &ReadOptions) -> Result<Option<Self>> {
        let is_one = |file: &PathBuf| fs::is_file(file) && fs::head(file, HEAD).is_ok_and(|head| is_read(&head));
        let mut files: Vec<_> = fs::list(path)?.into_par_iter().filter(is_one).collect();
        if files.is_empty() {
            return Ok(None);
        }
        files.sort_by_cached_key(|file| names::natural_key(file));
        Self::of_files(path, files, options).map(Some)
    }

    fn of_files(path: &Path, files: Vec<PathBuf>, options: &ReadOptions) -> Result<Self> {
        let headers = files.par_iter().map(|file| header(file, options)).collect::<Result<Vec<_>>>()?;
        let Some((first, kind)) = headers.first().copied() else {
            return Err(Error::internal("no picture was named"));
        };
        let mut warnings = Vec::new();
        if let Some(n) =
            headers.iter().position(|(other, _)| (other.columns, other.rows) != (first.columns, first.rows))
        {
            let other = headers[n].0;
            return Err(Error::unsupported(format!(
                "the pictures differ in size: {} x {} in {} and {} x {} in {}",
                first.columns,
                first.rows,
                names::shown(&files[0]),
                other.columns,
                other.rows,
                names::shown(&files[n])
            ))
            .at(path)
            .hint("leave pictures of one size in the folder"));
        }
        if let (2.., Some(n)) = (files.len(), headers.iter().position(|(other, _)| other.pages != 1)) {
            return Err(Error::unsupported("a file of several pages lies among others").at(&files[n]));
        }
        warnings.extend(names::gap(&files).map(|message| Warning::new("numbering", message)));
        if options.input_spacing.is_none() {
            let message = "pictures give no spacing: 1 mm is taken, so that sizes and volumes mean nothing; name it with \
                           --input-spacing";
            warnings.push(Warning::new("no-spacing", message));
        }
        if options.assume_orientation.is_none() {
            let message = "pictures do not say where left and right are; LAS is a mere convention";
            warnings.push(Warning::new("no-orientation", message));
        }
        let data_type = if headers.iter().all(|(other, _)| other.data_type == first.data_type) {
            first.data_type
        } else {
            DataType::Float32
        };
        let depth = if files.len() > 1 { files.len() } else { first.pages };
        let shape = [first.columns, first.rows, depth];
        options.limits.voxels(&shape.map(|n| n as u64)).map_err(|e| e.at(path))?;
        Ok(Self { path: path.to_owned(), kind, files, shape, data_type, warnings })
    }

    fn grid(&self, options: &ReadOptions) -> Result<Grid> {
        let spacing = options.input_spacing.unwrap_or([1.0; 3]);
        if spacing.iter().any(|mm| !mm.is_finite() || *mm <= 0.0) {
            return Err(Error::usage(format!("a spacing of {spacing:?} mm is not positive")));
        }
        Grid::unplaced(self.shape, spacing, options.assume_orientation)
    }

    pub(super) fn probe(&self, options: &ReadOptions) -> Result<Probe> {
        Ok(Probe {
            path: self.path.clone(),
            voxel_file: None,
            format: match self.kind {
                Kind::Png => Format::Png,
                Kind::Jpeg => Format::Jpeg,
                Kind::Tiff => Format::Tiff,
            },
            gzip: false,
            big_endian: false,
            shape: self.shape.iter().map(|&n| n as u64).collect(),
            grid: self.grid(options)?,
            form: Form::None,
            sform_code: 0,
            qform_code: 0,
            data_type: self.data_type,
            scaling: None,
            units: ("mm", "unknown"),
            intent: String::new(),
            intent_name: String::new(),
            description: String::new(),
            extensions: Vec::new(),
            warnings: self.warnings.clone(),
        })
    }

    pub(super) fn study<T: Sample>(&self, options: &ReadOptions) -> Result<Study<T>> {
        if let Some(n) = options.volume.filter(|&n| n != 0) {
            return Err(Error::usage(format!("there is no volume {n}: pictures make one")).at(&self.path));
        }
        let probe = self.probe(options)?;
        let data = self.voxels(options, options.color.map_or(Take::Grey, Take::Color))?;
        let source = self.source(probe.grid);
        Ok(Study {
            volume: Volume::new(probe.grid, data)?,
            slices: None,
            source,
            warnings: probe.warnings.clone(),
            probe,
        })
    }

    /// Label ids: grey values, or the indices of a palette of 8 bits.
    pub(super) fn labels(&self, options: &ReadOptions) -> Result<LabelStudy> {
        let probe = self.probe(options)?;
        let values: Vec<f64> = self.voxels(options, Take::Index)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
        let id = |&value: &f64| {
            let is_id = (0.0..=65535.0).contains(&value) && value.fract() == 0.0;
            is_id.then_some(value as u16).ok_or_else(|| {
                let message = format!("the value {value} is no label id: whole numbers from 0 to 65535 are");
                Error::unsupported(message).at(&self.path)
            })
        };
        let ids = Volume::new(probe.grid, values.iter().map(id).collect::<Result<_>>()?)?;
        let source = self.source(probe.grid);
        let labels = LabelMap::new(ids, LabelTable::default());
        Ok(LabelStudy { labels, source, warnings: probe.warnings.clone(), probe })
    }

    fn source(&self, grid: Grid) -> Source {
        let mut source = Source::new(Some(self.path.clone()), grid, SourceKind::Memory);
        source.oriented = false;
        source
    }

    /// The samples, i fastest.
    fn voxels<T: Sample>(&self, options: &ReadOptions, take: Take) -> Result<Vec<T>> {
        let [columns, rows, depth] = self.shape;
        let voxels = columns * rows * depth;
        options.limits.bytes((voxels * size_of::<T>()) as u64, "the volume")?;
        let mut out = limits::zeroed::<T>(voxels, "the volume")?;
        let per_file = voxels / self.files.len();
        let jobs = out.par_chunks_mut(per_file.max(1)).zip(&self.files);
        jobs.try_for_each(|(out, file)| {
            let failed =
                |message: String| Error::malformed(format!("the picture cannot be decoded: {message}")).at(file);
            let bytes = fs::read(file, options.limits.max_bytes)?;
            let kind = Kind::of(&bytes).ok_or_else(|| failed("it is of another format now".to_owned()))?;
            kind.decode(&bytes, take, out).map_err(failed)
        })?;
        Ok(out)
    }
}

fn header(file: &Path, options: &ReadOptions) -> Result<(decode::Header, Kind)> {
    let bytes = fs::read(file, options.limits.max_bytes)?;
    let kind = Kind::of(&bytes).ok_or_else(|| Error::unsupported("this is no picture that is read").at(file))?;
    let header = kind.header(&bytes).map_err(|message| Error::unsupported(message).at(file))?;
    Ok((header, kind))
}
