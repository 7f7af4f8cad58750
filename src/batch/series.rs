//! Which series of a DICOM study is segmented, and why.

use crate::formats::OnGap;
use crate::formats::dicom::{SeriesKind, SeriesSummary, Triage};
use crate::model::ModelSpec;

/// What a model wants to see, as far as the name of its channel says.
#[derive(Debug)]
pub(super) struct Wanted {
    modality: Option<&'static str>,
    contrast: Option<Contrast>,
    on_gap: OnGap,
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
    /// By the name of the model's channel; where that says nothing, by its intended use.
    pub(super) fn by(spec: &ModelSpec) -> Self {
        let channel = spec.input.channels.first().map_or("", |channel| channel.name.as_str());
        let wanted = Self::named(channel);
        if wanted.modality.is_some() { wanted } else { Self::named(&spec.intended_use) }
    }

    /// Whatever holds one volume.
    pub(super) fn anything() -> Self {
        Self { modality: None, contrast: None, on_gap: OnGap::Refuse }
    }

    /// What is done about slices that are not evenly spaced.
    pub(super) fn with_on_gap(self, on_gap: OnGap) -> Self {
        Self { on_gap, ..self }
    }

    /// True for a series whose description says that it is the channel `name`.
    pub(super) fn names(&self, row: &SeriesSummary, name: &str) -> bool {
        let is_word = || words(&row.description).any(|word| word == name.to_lowercase());
        self.contrast.map_or_else(is_word, |contrast| contrast.fits(&row.description))
    }

    pub(super) fn named(text: &str) -> Self {
        let contrast = [Contrast::Flair, Contrast::T1, Contrast::T2].into_iter().find(|contrast| contrast.fits(text));
        let is_any = |wanted: &[&str]| words(text).any(|word| wanted.contains(&word.as_str()));
        let modality = match contrast {
            Some(_) => Some("MR"),
            None if is_any(&["mr", "mri", "pd"]) => Some("MR"),
            None => is_any(&["ct"]).then_some("CT"),
        };
        Self { modality, contrast, on_gap: OnGap::Refuse }
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
        let resamples = self.on_gap == OnGap::Resample;
        let is_readable = |row: &SeriesSummary| row.refusal.is_none() || (resamples && row.can_be_resampled);
        let readable = candidates.iter().copied().filter(|row| is_readable(row) && row.volumes == 1);
        let best = readable.min_by(|a, b| {
            let coarsest = |row: &SeriesSummary| row.spacing.map_or(f64::MAX, |mm| mm.into_iter().fold(0.0, f64::max));
            let slices = |row: &SeriesSummary| row.shape.get(2).copied().unwrap_or(0);
            (fits(b).cmp(&fits(a)))
                .then(a.refusal.is_some().cmp(&b.refusal.is_some()))
                .then(slices(b).cmp(&slices(a)))
                .then(coarsest(a).total_cmp(&coarsest(b)))
                .then(a.number.cmp(&b.number))
        });
        let refused = candidates.iter().find_map(|&row| Some((row, row.refusal.as_ref()?)));
        let refusal = |(row, why): (&SeriesSummary, &String)| format!("{:?} is no volume: {why}", file_name(row));
        match (best, refused) {
            (Some(row), refused) => {
                let (of, all) = (candidates.len(), study.len());
                let mut reason = format!("{of} of {all} series are {modality} volumes");
                if let Some(contrast) = self.contrast.filter(|_| of > 1 && fits(row)) {
                    reason.push_str(&format!("; this one names {contrast:?}"));
                } else if of > 1 {
                    reason.push_str("; this one has the most slices");
                }
                if let Some(refused) = refused {
                    reason.push_str(&format!("; {}", refusal(refused)));
                }
                Decision::Segment(row, reason)
            }
            (None, Some(refused)) => Decision::Fail(refusal(refused)),
            (None, None) if candidates.is_empty() => {
                Decision::Skip(format!("no {modality} volume among {} series", study.len()))
            }
            (None, None) => Decision::Skip(format!("every {modality} series holds several volumes")),
        }
    }
}

impl Contrast {
    /// True when a description names the contrast, or a sequence that is known for it.
    fn fits(self, description: &str) -> bool {
        const T1: [&str; 5] = ["mprage", "mp2rage", "spgr", "fspgr", "bravo"];
        let has = |fits: fn(&str) -> bool| words(description).any(|word| fits(&word));
        let (t1, flair) =
            (has(|word| word.starts_with("t1") || T1.contains(&word)), has(|word| word.contains("flair")));
        match self {
            Self::T1 => t1,
            Self::T2 => has(|word| word.starts_with("t2")) && !flair,
            Self::Flair => flair && !t1,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrasts_as_protocols_write_them() {
        for (contrast, yes, no) in [
            (Contrast::T1, "t1_mprage_sag AX-T1W 3D-FSPGR T1 ", "t2_flash3d FLAIR localizer st1 "),
            (Contrast::T2, "T2 t2w_tse ", "T1 flair t2_flair "),
            (Contrast::Flair, "T2_FLAIR 3DFLAIR ", "T2 t1_flair "),
        ] {
            assert!(yes.split_whitespace().all(|description| contrast.fits(description)), "{contrast:?}");
            assert!(!no.split_whitespace().any(|description| contrast.fits(description)), "{contrast:?}");
        }
        let wanted = Wanted::named("Labels 32 structures of a T1-weighted head MRI.");
        assert!(matches!((wanted.modality, wanted.contrast), (Some("MR"), Some(Contrast::T1))));
        assert_eq!(Wanted::named("liver CT").modality, Some("CT"));
        assert_eq!(Wanted::named("image").modality, None);
    }
}
