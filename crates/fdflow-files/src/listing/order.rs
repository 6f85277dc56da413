//! The order of a listing.

use std::cmp::Ordering;

use super::Entry;
use crate::root::FileOrFolder;

/// Folders first, then as people sort: without regard to case, and numbers by their value, so
/// that `part9` is before `part10`. Names that differ in neither are in the order of their bytes.
pub(crate) fn order(one: &Entry, other: &Entry) -> Ordering {
    let file = |entry: &Entry| entry.kind == FileOrFolder::File;
    file(one)
        .cmp(&file(other))
        .then_with(|| as_people_sort(&one.name, &other.name))
        .then_with(|| one.name.cmp(&other.name))
}

fn as_people_sort(mut one: &[u8], mut other: &[u8]) -> Ordering {
    loop {
        let (Some(a), Some(b)) = (one.first(), other.first()) else {
            return one.len().cmp(&other.len());
        };
        if a.is_ascii_digit() && b.is_ascii_digit() {
            let (x, y) = (number(&mut one), number(&mut other));
            let order = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
            if order.is_ne() {
                return order;
            }
        } else {
            let order = a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase());
            if order.is_ne() {
                return order;
            }
            (one, other) = (&one[1..], &other[1..]);
        }
    }
}

/// Takes the number at the beginning, without the zeros before it.
fn number<'a>(name: &mut &'a [u8]) -> &'a [u8] {
    let end = name.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(name.len());
    let (digits, rest) = name.split_at(end);
    *name = rest;
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> Vec<String> {
        let entry = |name: &&str| {
            let kind = if name.ends_with('/') { FileOrFolder::Folder } else { FileOrFolder::File };
            Entry { name: name.as_bytes().to_vec(), kind, length: 0, modified: (0, 0) }
        };
        let mut entries: Vec<_> = names.iter().map(entry).collect();
        entries.sort_by(order);
        entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()).collect()
    }

    #[test]
    fn folders_come_first_numbers_count_and_case_does_not() {
        let order = ["B/", "c/", "1", "01", "1a", "2", "10", "a", "A1", "a9", "a10", "b"];
        let mut shuffled = order;
        shuffled.reverse();
        let mut sorted = sorted(&shuffled);
        // Of names that only differ in zeros the bytes decide.
        sorted.swap(2, 3);
        assert_eq!(sorted, order);
    }

    #[test]
    fn numbers_longer_than_any_integer_count_too() {
        let nines = "9".repeat(60);
        let more = format!("1{}", "0".repeat(60));
        assert_eq!(sorted(&[&more, &nines]), [nines.clone(), more.clone()]);
    }
}
