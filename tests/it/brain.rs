//! The bundled model from end to end.

use std::sync::{Arc, Mutex};

use unet_vol::formats::{self, ReadOptions};
use unet_vol::inference::embedded::Engine;
use unet_vol::inference::{EngineChoice, Options, Precision, Predictor, TensorView};
use unet_vol::model::{Model, graph::Graph};
use unet_vol::pipeline::{Cancel, Pipeline, PipelineBuilder, Stage};
use unet_vol::{Affine, ErrorKind, Grid, Volume};

use crate::support::{repository, shared};

fn builder() -> PipelineBuilder {
    let mut options = Options::default();
    options.engine = EngineChoice::Embedded;
    Pipeline::builder(Model::bundled("brain-mri").unwrap()).engine(options)
}

#[test]
fn the_stored_head_gets_the_stored_classes() {
    let model = Model::bundled("brain-mri").unwrap();
    let golden = model.golden().unwrap().unwrap();
    let engine = Engine::new(Graph::parse(model.bytes().to_vec()).unwrap(), Precision::Fp32).unwrap();
    let voxels = golden.input.len();
    let mut scores = vec![0.0; 33 * voxels];
    engine.predict(TensorView { shape: &golden.shape, data: &golden.input }, &mut scores).unwrap();
    let (mut best, mut classes) = (scores[..voxels].to_vec(), vec![0_u16; voxels]);
    for class in 1..33_u16 {
        for (n, &score) in scores[usize::from(class) * voxels..][..voxels].iter().enumerate() {
            if score > best[n] {
                (best[n], classes[n]) = (score, class);
            }
        }
    }
    let apart = classes.iter().zip(&golden.classes).filter(|(a, b)| a != b).count();
    assert!(apart * 10_000 < voxels, "{apart} of {voxels} voxels differ");
}

/// FreeSurfer's aseg ids as the model has them: choroid plexus is ventricle, corpus callosum and hypointensities are the
/// nearest white matter, other ids that the model does not know are background.
fn freesurfer_to_model(reference: &Volume<u16>, known: &[u16]) -> Vec<u16> {
    let shape = reference.grid().shape();
    let seg = reference.view();
    let nearest_white_matter = |at: [usize; 3]| {
        for reach in [3_usize, 10, 40] {
            let near = |a: usize| at[a].saturating_sub(reach)..(at[a] + reach + 1).min(shape[a]);
            let mut best = (usize::MAX, 0);
            for (k, j, i) in near(2).flat_map(|k| near(1).flat_map(move |j| near(0).map(move |i| (k, j, i)))) {
                let distance = [i, j, k].iter().zip(at).map(|(a, b)| a.abs_diff(b).pow(2)).sum();
                if matches!(seg[[i, j, k]], 2 | 41) && distance < best.0 {
                    best = (distance, seg[[i, j, k]]);
                }
            }
            if best.0 <= reach * reach {
                return best.1;
            }
        }
        0
    };
    let id = |n: usize| match reference.data()[n] {
        31 => 4,
        63 => 43,
        77 | 80 | 251..=255 => nearest_white_matter([n % shape[0], n / shape[0] % shape[1], n / shape[0] / shape[1]]),
        id if known.contains(&id) => id,
        _ => 0,
    };
    (0..reference.data().len()).map(id).collect()
}

/// Dice of each id, which both have.
fn dice(a: &[u16], b: &[u16], id: u16) -> f64 {
    let count = |ids: &[u16]| ids.iter().filter(|&&other| other == id).count();
    let both = a.iter().zip(b).filter(|(a, b)| **a == id && **b == id).count();
    2.0 * both as f64 / (count(a) + count(b)) as f64
}

/// The column "OASIS 1 mm" of the model's record: id and Dice.
fn record(text: &str) -> Vec<(u16, f64)> {
    let rows = text.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter_map(|cells| Some((cells.get(2)?.parse().ok()?, cells.get(6)?.parse().ok()?))).collect()
}

#[test]
fn a_real_head_is_labelled_as_well_as_the_model_s_record_says() {
    let files = ["data/brain/oasis_t1.nii.gz", "data/brain/oasis_seg.nii.gz", "models/brain_v0.md"].map(shared);
    let [Some(image), Some(reference), Some(table)] = files else { return };
    let study = formats::read(image, &ReadOptions::new()).unwrap().volume;
    let reference = formats::read_labels(reference, &ReadOptions::new()).unwrap().labels;
    // The record was made without the steps after the decision.
    let raw = builder().postprocess(Vec::new()).build().unwrap().segment(&[study]).unwrap();
    assert!(reference.grid().matches(raw.labels.grid()));
    let ids: Vec<u16> = raw.labels.table.labels().iter().map(|label| label.id).collect();
    let wanted = freesurfer_to_model(&reference.ids, &ids);
    let table = record(&std::fs::read_to_string(table).unwrap());
    assert_eq!(table.len(), 31);
    let mut sums = [0.0; 2];
    let spec = Model::bundled("brain-mri").unwrap().spec().clone();
    let mut cleaned = raw.labels.clone();
    unet_vol::labels::postprocess(&mut cleaned, &spec.postprocess).unwrap();
    for (id, stated) in table {
        let found = dice(raw.labels.ids.data(), &wanted, id);
        assert!((found - stated).abs() <= 0.002, "label {id}: Dice {found}, stated {stated}");
        sums[0] += found;
        sums[1] += dice(cleaned.ids.data(), &wanted, id);
    }
    let [mean, after] = sums.map(|sum| sum / 31.0);
    eprintln!("mean Dice {mean:.4}, after the model's steps {after:.4}");
    assert!((mean - 0.766).abs() < 0.001, "mean Dice {mean}");
    assert!(after > mean - 0.001, "the model's own steps make {after} of {mean}");
}

#[test]
fn the_synthetic_head_is_labelled_as_before() {
    let steps: Arc<Mutex<Vec<Stage>>> = Arc::default();
    let seen = Arc::clone(&steps);
    let cancel = Cancel::new();
    let pipeline = builder().progress(Arc::new(move |step| seen.lock().unwrap().push(step.stage)));
    let pipeline = pipeline.cancel(cancel.clone()).build().unwrap();
    let segmentation = pipeline.run(repository("testdata/synthetic_head.nii.gz")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    segmentation.save(dir.path().join("labels.nii.gz")).unwrap();
    let mut stages = steps.lock().unwrap().clone();
    stages.dedup();
    assert_eq!(stages, [Stage::Read, Stage::Prepare, Stage::Network, Stage::Postprocess, Stage::Write]);
    cancel.cancel();
    let error = segmentation.save(dir.path().join("late.nii.gz")).unwrap_err();
    assert_eq!((error.kind(), dir.path().join("late.nii.gz").exists()), (ErrorKind::Interrupted, false));
    let reference = repository("testdata/synthetic_head_seg.nii.gz");
    let reference = formats::read_labels(reference, &ReadOptions::new()).unwrap().labels;
    let ids = segmentation.labels().table.labels().iter().map(|label| label.id).filter(|&id| id != 24);
    let all: Vec<f64> = ids.map(|id| dice(segmentation.labels().ids.data(), reference.ids.data(), id)).collect();
    assert_eq!(all.len(), 31);
    let mean = all.iter().sum::<f64>() / 31.0;
    assert!((mean - 0.771).abs() < 0.002, "mean Dice {mean}");
}

#[test]
fn volumes_that_are_no_heads_are_labelled_without_a_panic() {
    let pipeline = builder().build().unwrap();
    let mut tried = 0;
    for (shape, spacing) in [
        ([2, 2, 2], [1.0, 1.0, 1.0]),
        ([1, 1, 1], [0.1, 0.1, 0.1]),
        ([60, 50, 1], [1.0, 1.0, 5.0]),
        ([1, 40, 30], [2.0, 2.0, 2.0]),
        ([30, 40, 20], [0.1, 0.1, 0.1]),
        ([9, 8, 7], [10.0, 10.0, 10.0]),
        ([3, 200, 2], [0.01, 0.3, 60.0]),
    ] {
        let grid = Grid::new(shape, Affine::from_spacing(spacing, [1.0, -2.0, 3.0]).unwrap()).unwrap();
        let values = (0..grid.voxels()).map(|n| (n * 7919 % 1009) as f32).collect();
        let outcome = pipeline.segment(&[Volume::new(grid, values).unwrap()]).unwrap();
        assert_eq!(outcome.labels.grid(), &grid);
        tried += 1;
    }
    assert_eq!(tried, 7);
}

#[test]
fn a_file_of_several_volumes_is_refused_with_the_way_to_name_one() {
    let error = builder().build().unwrap().run(repository("testdata/nifti/four_dimensions.nii")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.advice().unwrap().contains("--volume"), "{error}");
}
