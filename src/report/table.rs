//! Tables: label statistics as comma-separated values, and the color table.

use std::fmt::Write as _;

use crate::labels::Statistics;
use crate::volume::LabelTable;

/// One row per label: `id,name,voxels,ml,x_mm,y_mm,z_mm,mean,std,score,probability,border_entropy`; cells without a value are empty.
#[must_use]
pub fn csv(statistics: &Statistics) -> String {
    let mut out = String::from("id,name,voxels,ml,x_mm,y_mm,z_mm,mean,std,score,probability,border_entropy\n");
    for label in &statistics.labels {
        let centroid = label
            .centroid_mm
            .map_or_else(|| ",,".to_owned(), |c| c.iter().map(|v| format!("{v:.2}")).collect::<Vec<_>>().join(","));
        let intensity =
            label.intensity.map_or_else(|| ",".to_owned(), |value| format!("{:.4},{:.4}", value.mean, value.std));
        let confidence = label.confidence.map_or_else(
            || ",,".to_owned(),
            |c| format!("{:.4},{:.4},{:.4}", c.score, c.probability, c.border_entropy),
        );
        let _ = writeln!(
            out,
            "{},{},{},{:.4},{centroid},{intensity},{confidence}",
            label.id,
            quoted(&label.name),
            label.voxels,
            label.ml
        );
    }
    out
}

/// Ids, names and colors in the form of FreeSurfer's color tables, which Freeview, 3D Slicer and ITK-SNAP import.
#[must_use]
pub fn color_table(table: &LabelTable) -> String {
    let mut out = String::from("#No. Label-Name R G B A\n0 Unknown 0 0 0 0\n");
    for label in table.labels() {
        let [r, g, b] = label.rgb;
        let _ = writeln!(out, "{} {} {r} {g} {b} 0", label.id, label.name.replace(char::is_whitespace, "-"));
    }
    out
}

/// A cell as RFC 4180 has it.
#[must_use]
pub fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_are_quoted() {
        assert_eq!(quoted("a, \"b\""), "\"a, \"\"b\"\"\"");
        assert_eq!(quoted("plain"), "plain");
    }
}
