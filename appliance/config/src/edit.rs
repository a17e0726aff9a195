use serde_json::{Map, Value};

/// What is done at one place of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// This stands there from now on.
    Put(Value),
    /// What stands there is changed by this merge patch (RFC 7396).
    Merge(Value),
    /// Nothing stands there any more.
    Remove,
}

/// The document after an edit at the place that these keys lead to: none is the whole document, one a collection, two an
/// item. `None` where there is nothing to be changed or removed; a collection that is not there is an empty one.
pub fn edit(document: &Value, place: &[&str], edit: Edit) -> Option<Value> {
    let Some((last, parents)) = place.split_last() else {
        return Some(whole(document, edit));
    };
    let mut edited = document.clone();
    match (parents, edit) {
        ([], Edit::Merge(patch)) => {
            let object = reach(&mut edited, &[])?;
            json_patch::merge(object.entry(*last).or_insert(Value::Null), &patch);
        }
        (parents, edit) => apply(reach(&mut edited, parents)?, last, edit)?,
    }
    Some(edited)
}

/// The document after an edit of all of it.
fn whole(document: &Value, edit: Edit) -> Value {
    match edit {
        Edit::Put(value) => value,
        Edit::Merge(patch) => {
            let mut edited = document.clone();
            json_patch::merge(&mut edited, &patch);
            edited
        }
        Edit::Remove => Value::Object(Map::new()),
    }
}

/// The object that these keys lead to; those that are not there are made.
fn reach<'d>(document: &'d mut Value, keys: &[&str]) -> Option<&'d mut Map<String, Value>> {
    let mut object = document.as_object_mut()?;
    for key in keys {
        let inside = object.entry(*key).or_insert_with(|| Value::Object(Map::new()));
        object = inside.as_object_mut()?;
    }
    Some(object)
}

fn apply(object: &mut Map<String, Value>, key: &str, edit: Edit) -> Option<()> {
    match edit {
        Edit::Put(value) => drop(object.insert(key.to_owned(), value)),
        Edit::Merge(patch) => json_patch::merge(object.get_mut(key)?, &patch),
        Edit::Remove => drop(object.remove(key)?),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_is_put_merged_and_removed_and_its_neighbours_stay() {
        let document = json!({ "sites": { "b": { "endpoint": "192.0.2.2", "address_space": [] }, "c": {} } });
        let put = edit(&document, &["sites", "d"], Edit::Put(json!({ "x": 1 }))).unwrap();
        assert_eq!(put["sites"]["d"], json!({ "x": 1 }));
        assert_eq!(put["sites"]["b"], document["sites"]["b"]);
        let patch = json!({ "endpoint": null, "address_space": ["10.0.0.0/8"] });
        let merged = edit(&document, &["sites", "b"], Edit::Merge(patch)).unwrap();
        assert_eq!(merged["sites"]["b"], json!({ "address_space": ["10.0.0.0/8"] }));
        let removed = edit(&document, &["sites", "c"], Edit::Remove).unwrap();
        assert_eq!(removed, json!({ "sites": { "b": document["sites"]["b"] } }));
        let whole = edit(&document, &[], Edit::Merge(json!({ "sites": { "b": null } }))).unwrap();
        assert_eq!(whole, json!({ "sites": { "c": {} } }));
    }

    #[test]
    fn what_is_not_there_can_be_put_only() {
        let document = json!({});
        assert_eq!(edit(&document, &["sites", "b"], Edit::Remove), None);
        assert_eq!(edit(&document, &["sites", "b"], Edit::Merge(json!({}))), None);
        let merged = edit(&document, &["sites"], Edit::Merge(json!({ "b": {} }))).unwrap();
        assert_eq!(merged, json!({ "sites": { "b": {} } }));
        let put = edit(&document, &["sites", "b"], Edit::Put(json!(1))).unwrap();
        assert_eq!(put, json!({ "sites": { "b": 1 } }));
        assert_eq!(
            edit(&json!({ "sites": 1 }), &["sites", "b"], Edit::Put(json!(1))),
            None
        );
    }
}
