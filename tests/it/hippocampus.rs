//! The hippocampus model: a network with unpadded convolutions, cut into tiles with mirrored context.

use std::path::PathBuf;

use unet_vol::formats::{self, ReadOptions};
use unet_vol::inference::verification::verify_model;
use unet_vol::inference::{EngineChoice, Options};
use unet_vol::model::Model;
use unet_vol::pipeline::{Outcome, Pipeline, PipelineBuilder};
use unet_vol::tiling::Tiling;
use unet_vol::{Region, Volume};

use crate::support::{largest_difference, repository, shared};

fn builder() -> PipelineBuilder {
    let mut options = Options::default();
    options.engine = EngineChoice::Embedded;
    Pipeline::builder(Model::bundled("hippocampus").unwrap()).engine(options)
}

/// Without a stored case an input of a size that the network takes is made up: 64 is none.
#[test]
fn a_file_of_the_model_is_verified_without_its_stored_case() {
    let bytes = Model::bundled("hippocampus").unwrap().bytes().to_vec();
    let model = Model::from_bytes(bytes.into(), None, None).unwrap();
    let checks = verify_model(&model, &Options::default()).unwrap();
    assert!(
        checks[0].engine.starts_with("embedded") && checks.iter().all(|check| check.passed != Some(false)),
        "{checks:?}"
    );
}

fn tiling(json: &str) -> Tiling {
    serde_json::from_str(json).unwrap()
}

/// A box of the synthetic head around its left hippocampus.
fn made() -> Volume {
    let head = formats::read(repository("testdata/synthetic_head.nii.gz"), &ReadOptions::new()).unwrap().volume;
    let labels = repository("testdata/synthetic_head_seg.nii.gz");
    let labels = formats::read_labels(labels, &ReadOptions::new()).unwrap().labels;
    let (shape, mut start, mut end) = (head.grid().shape(), head.grid().shape(), [0; 3]);
    for (n, _) in labels.ids.data().iter().enumerate().filter(|(_, id)| **id == 17) {
        let at = [n % shape[0], n / shape[0] % shape[1], n / shape[0] / shape[1]];
        for axis in 0..3 {
            start[axis] = start[axis].min(at[axis]);
            end[axis] = end[axis].max(at[axis] + 1);
        }
    }
    head.cropped(Region::new(start, end).grown(6, shape)).unwrap()
}

fn probabilities(outcome: &Outcome) -> Vec<f32> {
    let kept = outcome.probabilities.as_ref().unwrap();
    let on_grid = kept.on_grid(outcome.labels.grid()).unwrap();
    (0..3).flat_map(|class| on_grid.class(class).unwrap().into_data()).collect()
}

/// Tiles in step with the network's stride see the same voxels in the same place of its grid: labels are identical and
/// scores differ by the order of sums at most, for tiles of any size.
#[test]
fn tiles_of_any_size_give_what_one_tile_gives() {
    let study = [made()];
    let make = || builder().keep_probabilities(true);
    let whole = r#"{"method":"overlap-tile","patch":[122,122,122],"last":"cut"}"#;
    let whole = make().tiling(tiling(whole)).build().unwrap().segment(&study).unwrap();
    assert_eq!(whole.plan.tiles, 1);
    let found = whole.labels.ids.data().iter().filter(|&&id| id > 0).count();
    assert!(found > 500, "{found} voxels labeled");
    let mut tiles = Vec::new();
    for patch in ["[78,94,78]", "[46,94,62]", "[58,46,54]"] {
        let text = format!(r#"{{"method":"overlap-tile","patch":{patch},"last":"cut"}}"#);
        let tiled = make().tiling(tiling(&text)).build().unwrap().segment(&study).unwrap();
        assert_eq!(tiled.labels.ids.data(), whole.labels.ids.data(), "{patch}");
        assert!(largest_difference(&probabilities(&tiled), &probabilities(&whole)) < 1e-5, "{patch}");
        tiles.push(tiled.plan.tiles);
    }
    let flips = |patch: &str| {
        let text = format!(r#"{{"method":"overlap-tile","patch":{patch},"last":"cut"}}"#);
        make().tta(true).tiling(tiling(&text)).build().unwrap().segment(&study).unwrap()
    };
    let (one, many) = (flips("[122,122,122]"), flips("[46,94,62]"));
    assert_eq!((one.plan.passes, many.plan.passes), (2, 2 * tiles[1]));
    assert_eq!(one.labels.ids.data(), many.labels.ids.data());
    assert!(largest_difference(&probabilities(&one), &probabilities(&many)) < 1e-5);
    assert!(tiles[0] < tiles[1] && tiles[1] < tiles[2] && tiles[2] > 20, "{tiles:?}");
}

#[test]
fn a_ceiling_for_memory_makes_smaller_tiles_and_the_same_labels() {
    let study = [made()];
    let plain = builder().build().unwrap().segment(&study).unwrap();
    let tight = plain.plan.peak_bytes - 30_000_000;
    let tight = builder().max_bytes(tight).build().unwrap().segment(&study).unwrap();
    assert!(tight.plan.tiles > plain.plan.tiles && tight.plan.peak_bytes < plain.plan.peak_bytes);
    assert_eq!(tight.labels.ids.data(), plain.labels.ids.data());
}

/// Every third case of the Decathlon's list, none of which was trained on.
fn held_back() -> Option<Vec<(PathBuf, PathBuf)>> {
    let folder = shared("data/hippocampus")?;
    let files = std::fs::read_dir(folder.join("images")).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    names.sort();
    let held = names.into_iter().skip(2).step_by(3);
    Some(held.map(|name| (folder.join("images").join(&name), folder.join("labels").join(&name))).collect())
}

#[test]
fn held_back_cases_are_labelled_as_well_as_the_model_card_says() {
    let Some(cases) = held_back() else { return };
    assert_eq!(cases.len(), 65);
    let pipeline = builder().build().unwrap();
    let mut sums = [0.0; 2];
    let cases = cases.iter().step_by(3);
    let count = cases.len() as f64;
    for (image, labels) in cases {
        let study = formats::read(image, &ReadOptions::new()).unwrap().volume;
        let expert = formats::read_labels(labels, &ReadOptions::new()).unwrap().labels;
        let outcome = pipeline.segment(&[study]).unwrap();
        assert!(outcome.warnings.is_empty(), "{}: {:?}", image.display(), outcome.warnings);
        for (sum, id) in sums.iter_mut().zip([1, 2]) {
            *sum += crate::brain::dice(outcome.labels.ids.data(), expert.ids.data(), id);
        }
    }
    let [anterior, posterior] = sums.map(|sum| sum / count);
    eprintln!("mean Dice anterior {anterior:.4}, posterior {posterior:.4}");
    assert!(f64::midpoint(anterior, posterior) >= 0.88, "mean Dice {anterior}, {posterior}");
}
