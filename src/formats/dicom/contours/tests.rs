#![expect(clippy::cast_possible_truncation, reason = "small made-up numbers")]

use proptest::prelude::*;

use super::trace::Outlined;
use super::*;

/// Rows of a picture, a digit a pixel.
fn plane(rows: &[&str]) -> (Vec<u16>, usize) {
    let digits = rows.iter().flat_map(|row| row.bytes().map(|byte| u16::from(byte - b'0')));
    (digits.collect(), rows[0].len())
}

fn filled(outlined: &[Outlined], width: usize, height: usize) -> Vec<u16> {
    let mut ids = vec![0; width * height];
    for one in outlined {
        for [i, j] in Fill::of(&one.contours, [width, height]).unwrap().inside() {
            assert_eq!(ids[j * width + i], 0, "two structures share a pixel");
            ids[j * width + i] = one.id;
        }
    }
    ids
}

fn area(contour: &[Point]) -> f64 {
    let next = contour.iter().cycle().skip(1);
    0.5 * contour.iter().zip(next).map(|(a, b)| a[0] * b[1] - a[1] * b[0]).sum::<f64>()
}

/// True when two segments that do not follow each other have a point in common; all run along rows or columns.
fn meet(a: (Point, Point), b: (Point, Point)) -> bool {
    (0..2).all(|axis| {
        let range = |(p, q): (Point, Point)| (p[axis].min(q[axis]), p[axis].max(q[axis]));
        let (a, b) = (range(a), range(b));
        a.0 <= b.1 && b.0 <= a.1
    })
}

fn check_simple(contours: &[Vec<Point>]) {
    let segments: Vec<Vec<_>> = contours
        .iter()
        .map(|contour| {
            contour.iter().copied().zip(contour.iter().copied().cycle().skip(1)).take(contour.len()).collect()
        })
        .collect();
    for (m, these) in segments.iter().enumerate() {
        for (n, &a) in these.iter().enumerate() {
            assert!(a.0[0] == a.1[0] || a.0[1] == a.1[1], "a contour runs along rows and columns");
            for (o, others) in segments.iter().enumerate().skip(m) {
                for (p, &b) in others.iter().enumerate() {
                    let follows = m == o && (n == p || (n + 1) % these.len() == p || (p + 1) % these.len() == n);
                    assert!(follows || !meet(a, b), "{a:?} meets {b:?}");
                }
            }
        }
    }
}

fn check(ids: &[u16], width: usize) -> Vec<Outlined> {
    let height = ids.len() / width;
    let outlined = outlined(ids, width).unwrap();
    assert_eq!(filled(&outlined, width, height), ids);
    for one in &outlined {
        check_simple(&one.contours);
        let pixels = ids.iter().filter(|id| **id == one.id).count() as f64;
        let enclosed: f64 = one.contours.iter().map(|contour| area(contour)).sum();
        let sides = 4.0 * pixels;
        assert!(enclosed < pixels && enclosed > pixels - 0.02 * sides - 0.1, "{enclosed} for {pixels} pixels");
        for point in one.contours.iter().flatten() {
            let [i, j] = point.map(|at| at.round() as usize);
            assert_eq!(ids[j * width + i], one.id, "a point lies in a pixel of the structure");
        }
    }
    outlined
}

fn counts(rows: &[&str]) -> Vec<Vec<usize>> {
    let (ids, width) = plane(rows);
    check(&ids, width).iter().map(|one| one.contours.iter().map(Vec::len).collect()).collect()
}

#[test]
fn shapes_have_the_contours_that_one_expects() {
    assert_eq!(counts(&["1"]), [[4]], "a pixel is a square");
    assert_eq!(counts(&["0000", "0110", "0000"]), [[4]]);
    assert_eq!(counts(&["10", "01"]), [[4, 4]], "areas that touch by a corner are two");
    assert_eq!(counts(&["12", "21"]), [[4, 4], [4, 4]]);
    assert_eq!(counts(&["111", "101", "111"]), [[12]], "a hole is cut out through a slit");
    assert_eq!(counts(&["11111", "10101", "11111"]), [[20]]);
    assert_eq!(counts(&["1111", "1011", "1101", "1111"]), [[4 + 4 + 8]], "holes that touch by a corner are one");
    assert_eq!(counts(&["11111", "10001", "10201", "10001", "11111"]), [vec![12], vec![4]]);
    assert_eq!(counts(&["11111", "10001", "10101", "10001", "11111"]), [[12, 4]], "an island within a hole");
    assert!(counts(&["000"]).is_empty());
}

#[test]
fn contours_through_middles_enclose_their_pixels_and_contours_within_cut_holes() {
    let rows = |contours: &[Vec<Point>], size: [usize; 2]| {
        let mut rows = vec![String::from_utf8(vec![b'.'; size[0]]).unwrap(); size[1]];
        Fill::of(contours, size).unwrap().inside().for_each(|[i, j]| rows[j].replace_range(i..=i, "#"));
        rows
    };
    let square = vec![[1.0, 1.0], [4.0, 1.0], [4.0, 3.0], [1.0, 3.0]];
    assert_eq!(rows(std::slice::from_ref(&square), [6, 5]), ["......", ".####.", ".####.", ".####.", "......"]);
    let hole = vec![[1.0, 2.0], [2.0, 1.0], [3.0, 2.0], [2.0, 3.0]];
    assert_eq!(rows(&[square, hole], [6, 5]), ["......", ".####.", ".#.##.", ".####.", "......"]);
    let wide = vec![[-10.0, -10.0], [10.0, -10.0], [10.0, 0.4], [-10.0, 0.4]];
    assert_eq!(rows(&[wide], [3, 2]), ["###", "..."]);
    for odd in [vec![], vec![[9.0, 9.0]], vec![[-1e300, 0.4], [f64::INFINITY, 1.0], [f64::NAN, 9.0]]] {
        rows(&[odd], [3, 2]);
    }
    assert_eq!(rows(&[vec![[1.0, 1.0]]], [3, 2]), ["...", ".#."], "a point is a line of no length");
}

proptest! {
    #[test]
    fn contours_give_back_any_plane(
        (ids, width) in (1_usize..12, 1_usize..12).prop_flat_map(|(width, height)| {
            (proptest::collection::vec(0_u16..3, width * height), Just(width))
        })
    ) {
        check(&ids, width);
    }
}
