//! Label names and colors in the JSON files that brainchop's models come with.

use serde::Deserialize;

use super::spec::ClassSpec;
use crate::error::{Error, Result};

#[derive(Deserialize)]
struct LabelFile {
    labels: Vec<String>,
    #[serde(rename = "R", default)]
    red: Vec<u8>,
    #[serde(rename = "G", default)]
    green: Vec<u8>,
    #[serde(rename = "B", default)]
    blue: Vec<u8>,
}

/// Classes of a file with `labels` (index = class) and optional `R`, `G`, `B` lists; class 0 is background and has no
/// entry; the id of a class is its index.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when the text is not such a file or holds more than 65,535 labels.
pub(crate) fn parse(text: &str) -> Result<Vec<ClassSpec>> {
    let file: LabelFile =
        serde_json::from_str(text).map_err(|e| Error::model("not a file of label names").because(e))?;
    let colored = [&file.red, &file.green, &file.blue].iter().all(|list| list.len() == file.labels.len());
    let entries = file.labels.iter().enumerate().skip(1);
    entries
        .map(|(class, name)| {
            let id = u16::try_from(class).map_err(|_| Error::model("more than 65,535 labels"))?;
            let rgb = colored.then(|| [file.red[class], file.green[class], file.blue[class]]);
            Ok(ClassSpec { class, id, name: name.clone(), rgb, code: None })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn index_is_class_and_background_is_left_out() {
        let classes =
            super::parse(r#"{"R":[0,9],"G":[0,8],"B":[0,7],"labels":["background","White Matter"]}"#).unwrap();
        assert_eq!(classes.len(), 1);
        assert_eq!((classes[0].class, classes[0].rgb), (1, Some([9, 8, 7])));
        assert!(super::parse("[]").is_err());
    }
}
