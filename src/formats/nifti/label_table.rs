//! Label names in a header extension: the XML label table of Caret.
//!
//! Connectome Workbench reads the first extension with code 30. TotalSegmentator, whose files have the same XML under code
//! 0, reads the first of all, through a function of nibabel that refuses code 30. So the table is written twice.

use std::fmt::Write;

use super::extensions::Extension;
use crate::error::Warning;
use crate::volume::{Label, LabelTable};

/// `NIFTI_ECODE_IGNORE`, for TotalSegmentator, and `NIFTI_ECODE_CARET`, for Connectome Workbench.
const CODES: [i32; 2] = [0, 30];

/// True when the extension is a label table.
pub(super) fn is_table(extension: &Extension) -> bool {
    find(&extension.1, b"<CaretExtension").is_some() && find(&extension.1, b"<LabelTable").is_some()
}

/// The label table of a file; empty, with a warning where one is damaged, when it has none.
pub(super) fn read(extensions: &[Extension], warnings: &mut Vec<Warning>) -> LabelTable {
    let Some((_, content)) = extensions.iter().find(|extension| is_table(extension)) else {
        return LabelTable::default();
    };
    LabelTable::new(labels(&String::from_utf8_lossy(content))).unwrap_or_else(|e| {
        warnings.push(Warning::new("label-names", format!("the label names are ignored: {}", e.message())));
        LabelTable::default()
    })
}

/// The extensions for a table; none when it is empty.
pub(super) fn write(table: &LabelTable) -> Vec<Extension> {
    if table.labels().is_empty() {
        return Vec::new();
    }
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CaretExtension>\n<VolumeInformation Index=\"0\">\n<LabelTable>\n",
    );
    for label in table.labels() {
        let [red, green, blue] = label.rgb.map(|v| f64::from(v) / 255.0);
        let name = label.name.replace("]]>", "]]]]><![CDATA[>");
        // Writing to a string cannot fail.
        let _ = writeln!(
            xml,
            "<Label Key=\"{}\" Red=\"{red:.6}\" Green=\"{green:.6}\" Blue=\"{blue:.6}\" Alpha=\"1\"><![CDATA[{name}]]></Label>",
            label.id
        );
    }
    xml.push_str(
        "</LabelTable>\n<StudyMetaDataLinkSet>\n</StudyMetaDataLinkSet>\n<VolumeType><![CDATA[Label]]></VolumeType>\n\
         </VolumeInformation>\n</CaretExtension>\n",
    );
    // Spaces instead of zero bytes up to a multiple of 16: those belong to no XML document.
    let padded = (xml.len() + 8).next_multiple_of(16) - 8;
    xml.extend(std::iter::repeat_n(' ', padded - xml.len()));
    CODES.map(|code| (code, xml.clone().into_bytes())).into()
}

/// The labels of the first table in an XML text; background and ids that do not fit are left out.
fn labels(xml: &str) -> Vec<Label> {
    let table = xml.split_once("<LabelTable").map_or("", |(_, rest)| rest);
    let table = table.split_once("</LabelTable>").map_or(table, |(table, _)| table);
    table.split("<Label ").skip(1).filter_map(label).collect()
}

/// One label from the text behind `<Label `.
fn label(text: &str) -> Option<Label> {
    let (attributes, rest) = text.split_once('>')?;
    let (content, _) = rest.split_once("</Label>")?;
    let value = |name: &str| {
        let (_, rest) = attributes.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let id = value("Key")?.trim().parse().ok().filter(|&id: &u16| id != 0)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
    let color = |name| value(name)?.trim().parse().ok().map(|v: f64| (v.clamp(0.0, 1.0) * 255.0).round() as u8);
    let rgb = [color("Red")?, color("Green")?, color("Blue")?];
    Some(Label { id, name: text_of(content), rgb, code: None })
}

/// Character data with its CDATA sections and the five entities of XML resolved.
fn text_of(content: &str) -> String {
    let mut out = String::new();
    let mut rest = content;
    while let Some((before, after)) = rest.split_once("<![CDATA[") {
        out.push_str(&entities(before));
        let (raw, after) = after.split_once("]]>").unwrap_or((after, ""));
        out.push_str(raw);
        rest = after;
    }
    out.push_str(&entities(rest));
    out.trim().to_owned()
}

fn entities(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(id: u16, name: &str, rgb: [u8; 3]) -> Label {
        Label { id, name: name.to_owned(), rgb, code: None }
    }

    #[test]
    fn a_table_comes_back_with_awkward_names() {
        let labels = vec![
            label(1, "left <A> & \"b\"", [0, 1, 255]),
            label(2, "ends with ]]> inside", [7, 8, 9]),
            label(65_535, "Großhirn &amp; Rest", [128, 127, 1]),
        ];
        let table = LabelTable::new(labels).unwrap();
        let mut extensions = write(&table);
        for (extension, code) in extensions.iter().zip([0, 30]) {
            assert_eq!((extension.0, (extension.1.len() + 8) % 16), (code, 0));
            assert!(is_table(extension));
        }
        extensions.insert(0, (6, b"else".to_vec()));
        let mut warnings = Vec::new();
        assert_eq!(read(&extensions, &mut warnings), table);
        assert!(warnings.is_empty());
        assert!(write(&LabelTable::default()).is_empty());
    }

    #[test]
    fn a_foreign_table_is_read_and_a_double_id_is_not() {
        let xml = "<CaretExtension><LabelTable><Label Key=\"0\" Red=\"0\" Green=\"0\" Blue=\"0\" Alpha=\"0\">???</Label>\
            <Label Key=\"5\" Red=\"1.0\" Green=\"0.5\" Blue=\"0\" Alpha=\"1\">a &lt; b</Label><Label Key=\"-3\"></Label>";
        let mut warnings = Vec::new();
        let table = read(&[(0, xml.into())], &mut warnings);
        assert_eq!(table.labels(), [label(5, "a < b", [255, 128, 0])]);
        let double = xml.replace("Key=\"0\"", "Key=\"5\"");
        assert!(read(&[(0, double.into())], &mut warnings).labels().is_empty());
        assert_eq!(warnings.len(), 1);
    }
}
