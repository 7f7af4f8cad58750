//! Every stage by itself, around a function of one's own: the largest piece of bright tissue in a head.
#![expect(clippy::print_stdout, reason = "an example talks")]

use unet_vol::formats::{self, ReadOptions};
use unet_vol::geometry::GridRule;
use unet_vol::intensity::{Normalization, Over, Step};
use unet_vol::labels::{Components, Connectivity, DecideOptions, Decider, statistics};
use unet_vol::resample::{Method, ResampleOptions, resample};
use unet_vol::tiling::{Layout, NetworkShape, OverlapTile, Tiling};
use unet_vol::volume::{Label, LabelTable};
use unet_vol::{LabelMap, Orientation, Overwrite, Result};

/// Scores of background and of bright tissue for one patch.
fn network(patch: &[f32]) -> Vec<f32> {
    patch.iter().map(|_| 0.6).chain(patch.iter().copied()).collect()
}

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "testdata/synthetic_head.nii.gz".to_owned());
    let study = formats::read(&path, &ReadOptions::new())?;

    // To the network's grid and intensities.
    let oriented = study.volume.reoriented(Orientation::RAS);
    let grid = oriented.grid().respaced([2.0; 3], GridRule::HalfPixel)?;
    let mut volume = resample(&oriented, &grid, &ResampleOptions::new(Method::Area))?;
    Normalization::new(vec![Step::MinMax { over: Over::All }]).apply_to(&mut volume, None)?;
    // Tile by tile; scores are `[class][k][j][i]`.
    let tiling = Tiling::OverlapTile(OverlapTile::new([32; 3]));
    let layout = Layout::new(&tiling, grid.shape(), &NetworkShape::padded([1; 3]))?;
    let [ni, nj, nk] = grid.shape();
    let mut scores = vec![0.0; 2 * grid.voxels()];
    let mut patch = vec![0.0; layout.patch().iter().product()];
    for tile in layout.tiles() {
        layout.gather(volume.data(), &tile, &mut patch)?;
        let output = network(&patch);
        for row in layout.rows(&tile) {
            let [i, j, k] = row.index;
            for (class, output) in output.chunks(patch.len()).enumerate() {
                let to = class * grid.voxels() + i + ni * (j + nj * k);
                scores[to..to + row.len].copy_from_slice(&output[row.source..row.source + row.len]);
            }
        }
    }
    // A label for every voxel of the study itself, then its largest piece.
    let mut decider = Decider::new(&grid, study.volume.grid(), &DecideOptions::new(vec![0, 1]))?;
    decider.push(&scores, nk)?;
    let mut ids = decider.finish()?;
    let components = Components::new(&ids, Connectivity::TwentySix)?;
    let largest = components.table()?.into_iter().max_by_key(|component| component.voxels).map(|c| c.number);
    let numbers = components.paint::<u32>()?;
    ids.data_mut().iter_mut().zip(numbers.data()).for_each(|(id, n)| *id = u16::from(Some(*n) == largest));

    let bright = Label { id: 1, name: "bright".into(), rgb: [255, 200, 0], code: None };
    let labels = LabelMap::new(ids, LabelTable::new(vec![bright])?);
    let output = std::env::temp_dir().join(format!("unet-vol-stages-{}.nii.gz", std::process::id()));
    formats::write_labels(&output, &labels, &study.source, Overwrite::Refuse)?;
    println!("{:.1} ml in {}", statistics(&labels, None)?.foreground_ml, output.display());
    Ok(())
}
