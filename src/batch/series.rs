//! Which series of a DICOM study is segmented, and why.

use crate::formats::dicom::{SeriesKind, SeriesSummary, Triage};
use crate::model::ModelSpec;

/// What a model wants to see, as far as the name of its channel says.
#[derive(Debug)]
pub(super) struct Wanted {
    modality: Option<&'static str>,
    contrast: Option<Contrast>,
}

#[derive(Debug, Clone, Copy)]
enum Contrast {
    T1,
    T2,
    Flair,
}

/// What becomes of a study.
#[derive(Debug)]
pub(super) enum Decision<'a> {
    /// This series, for this reason.
    Segment(&'a SeriesSummary, String),
    /// There is nothing for this model in it.
    Skip(String),
    /// There is, but it cannot be read.
    Fail(String),
}

impl Wanted {
    pub(super) fn by(spec: &ModelSpec) -> Self {
        let name = spec.input.channels.first().map(|channel| channel.name.as_str()).unwrap_or_default();
        let contrast = [Contrast::Flair, Contrast::T1, Contrast::T2].into_iter().find(|contrast| contrast.fits(name));
        let is_word = |wanted: &str| words(name).any(|word| word == wanted);
        let modality = match contrast {
            _ if is_word("ct") => Some("CT"),
            Some(_) => Some("MR"),
            None => (is_word("mr") || is_word("mri") || is_word("pd")).then_some("MR"),
        };
        Self { modality, contrast }
    }

    /// The series of one study to segment: of the modality, a single volume that can be read; of those the ones whose
    /// description names the contrast, then the one with the most slices, then the finest.
    pub(super) fn decide<'a>(&self, study: &[&'a SeriesSummary]) -> Decision<'a> {
        let of_modality = |row: &&&SeriesSummary| {
            let is_damaged = row.modality.is_empty() && row.refusal.is_some();
            is_damaged || self.modality.is_none_or(|modality| row.modality == modality)
        };
        let is_volume = |row: &&&SeriesSummary| {
            matches!(row.kind, SeriesKind::Volume | SeriesKind::Multiframe | SeriesKind::Mosaic | SeriesKind::Image)
        };
        let candidates: Vec<_> = study.iter().filter(of_modality).filter(is_volume).copied().collect();
        let modality = self.modality.unwrap_or("image");
        let fits = |row: &SeriesSummary| self.contrast.is_some_and(|contrast| contrast.fits(&row.description));
        let readable = candidates.iter().copied().filter(|row| row.refusal.is_none() && row.volumes == 1);
        let best = readable.min_by(|a, b| {
            let coarsest = |row: &SeriesSummary| row.spacing.map_or(f64::MAX, |mm| mm.into_iter().fold(0.0, f64::max));
            let slices = |row: &SeriesSummary| row.shape.get(2).copied().unwrap_or(0);
            (fits(b).cmp(&fits(a)))
                .then(slices(b).cmp(&slices(a)))
                .then(coarsest(a).total_cmp(&coarsest(b)))
                .then(a.number.cmp(&b.number))
        });
        let refused = candidates.iter().find_map(|row| Some((row, row.refusal.as_ref()?)));
        match (best, refused) {
            (Some(row), refused) => {
                let mut reason =
                    format!("of {} series in the study, {} are {modality} volumes", study.len(), candidates.len());
                if candidates.len() > 1 {
                    let because = if fits(row) { "its description fits the model" } else { "it has the most slices" };
                    reason.push_str(&format!("; {because}"));
                }
                if let Some((row, why)) = refused {
                    reason.push_str(&format!("; {:?} was refused: {why}", row.description));
                }
                Decision::Segment(row, reason)
            }
            (None, Some((row, why))) => Decision::Fail(format!("{:?} is no volume: {why}", row.description)),
            (None, None) if candidates.is_empty() => {
                Decision::Skip(format!("none of the {} series is a {modality} volume", study.len()))
            }
            (None, None) => Decision::Skip(format!("every {modality} series holds several volumes")),
        }
    }
}

impl Contrast {
    /// True when a description names the contrast, or a sequence that is known for it.
    fn fits(self, description: &str) -> bool {
        const T1: [&str; 7] = ["mprage", "mp2rage", "spgr", "fspgr", "bravo", "tfe", "flash"];
        words(description).any(|word| match self {
            Self::T1 => word.starts_with("t1") || T1.contains(&word.as_str()),
            Self::T2 => word.starts_with("t2"),
            Self::Flair => word.contains("flair"),
        })
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_ascii_lowercase)
}

/// The rows of each study, in the order of their numbers.
pub(super) fn studies(triage: &Triage) -> Vec<Vec<&SeriesSummary>> {
    let mut studies: Vec<Vec<&SeriesSummary>> = Vec::new();
    for row in &triage.series {
        let same = |study: &&mut Vec<&SeriesSummary>| !row.study_uid.is_empty() && study[0].study_uid == row.study_uid;
        match studies.iter_mut().find(same) {
            Some(study) => study.push(row),
            None => studies.push(vec![row]),
        }
    }
    studies
}

/// True for rows that a user may ask for by name.
pub(super) fn is_selectable(row: &SeriesSummary) -> bool {
    !matches!(row.kind, SeriesKind::Document | SeriesKind::Segmentation | SeriesKind::Structures)
}

/// `<number>_<description>` with letters, digits, `-` and `_` only.
pub(super) fn file_name(row: &SeriesSummary) -> String {
    let number = row.series_number.map_or_else(|| "series".to_owned(), |number| number.to_string());
    let plain = |c: char| if c.is_alphanumeric() || c == '-' { c } else { '_' };
    let description: String = row.description.trim().chars().take(60).map(plain).collect();
    if description.is_empty() { number } else { format!("{number}_{description}") }
}
