import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.annotators.rules import RulesLabeler
from harness.candidates.template import ABSENT, NOTHING, SENTENCES, fill_template
from harness.report import FINDINGS, INDEX, Finding, State

F = Finding
LABELER = RulesLabeler()
P, N, U, NIL = State.POSITIVE, State.NEGATIVE, State.UNCERTAIN, State.NOT_MENTIONED

SAID = [
    ("No change in the right effusion.", F.PLEURAL_EFFUSION, P),
    ("The heart size is normal.", F.CARDIOMEGALY, N),
    ("Lungs are clear of focal airspace disease.", F.LUNG_OPACITY, N),
    ("Calcified granuloma in the right lung.", F.LUNG_LESION, NIL),
    ("Old healed rib fracture.", F.FRACTURE, P),
    ("No effusion, pneumothorax or consolidation.", F.CONSOLIDATION, N),
    ("No effusion, pneumothorax, or large consolidation.", F.CONSOLIDATION, N),
    ("A small pneumothorax cannot be excluded.", F.PNEUMOTHORAX, U),
    ("Cannot exclude pneumonia.", F.PNEUMONIA, U),
    ("The effusion has resolved.", F.PLEURAL_EFFUSION, N),
    ("Interval resolution of the left pneumothorax.", F.PNEUMOTHORAX, N),
    ("Near complete resolution of the left pneumothorax.", F.PNEUMOTHORAX, P),
    ("The pneumothorax has nearly resolved.", F.PNEUMOTHORAX, P),
    ("Unchanged small left effusion.", F.PLEURAL_EFFUSION, P),
    ("There is a small effusion and pneumothorax is not seen.", F.PLEURAL_EFFUSION, P),
    ("There is a small effusion and pneumothorax is not seen.", F.PNEUMOTHORAX, N),
    ("Effusion and pneumothorax are not seen.", F.PLEURAL_EFFUSION, N),
    ("No opacity suspicious for pneumonia.", F.PNEUMONIA, N),
    ("Opacity suspicious for pneumonia.", F.PNEUMONIA, U),
    ("No pneumothorax. Small left effusion.", F.PLEURAL_EFFUSION, P),
    ("No pneumothorax, small left effusion.", F.PLEURAL_EFFUSION, P),
    ("No pneumothorax but moderate effusion.", F.PLEURAL_EFFUSION, P),
    ("Pneumothorax: none.", F.PNEUMOTHORAX, N),
    ("Pleural effusion: No. Fracture: present.", F.FRACTURE, P),
    ("Heart: Enlarged.", F.CARDIOMEGALY, P),
    ("Chest tube has been removed.", F.SUPPORT_DEVICES, N),
    ("Evaluate for pneumonia.", F.PNEUMONIA, NIL),
    ("History of pneumonia.", F.PNEUMONIA, NIL),
    ("A new left pneumothorax, not seen on the prior study.", F.PNEUMOTHORAX, P),
    ("No pneumothorax w/o effusion", F.PLEURAL_EFFUSION, N),
    ("?pneumonia", F.PNEUMONIA, U),
    ("No evidence of\nCHF or\neffusion", F.PLEURAL_EFFUSION, N),
    ("No pneumothorax\nPleural effusion on the left", F.PLEURAL_EFFUSION, P),
    ("The lungs show no pneumothorax or effusion.", F.PNEUMOTHORAX, N),
    ("Pneumothorax is unlikely.", F.PNEUMOTHORAX, N),
    ("No acute fracture. Healing left rib fractures.", F.FRACTURE, P),
    ("Heart size and mediastinal contours are within normal limits.", F.ENLARGED_CARDIOMEDIASTINUM, N),
    ("Heart size and mediastinal contours are within normal limits.", F.CARDIOMEGALY, N),
    (
        "Cardiomediastinal silhouette unchanged, increased opacity in the left base.",
        F.ENLARGED_CARDIOMEDIASTINUM,
        NIL,
    ),
    (
        "Cardiac and mediastinal contours are unchanged, increased opacity at the left base.",
        F.CARDIOMEGALY,
        NIL,
    ),
    ("Normal heart size, large right effusion.", F.CARDIOMEGALY, N),
    ("Normal heart size, large right effusion.", F.PLEURAL_EFFUSION, P),
    ("Heart is not enlarged.", F.CARDIOMEGALY, N),
    ("The heart is no longer enlarged.", F.CARDIOMEGALY, N),
    ("Heart size is at the upper limits of normal.", F.CARDIOMEGALY, N),
    ("Borderline cardiomegaly.", F.CARDIOMEGALY, P),
    ("Collapse of the left lower lobe.", F.ATELECTASIS, P),
    ("Left lower lobe collapse.", F.ATELECTASIS, P),
    ("Pneumothorax is not excluded.", F.PNEUMOTHORAX, U),
    ("Without pneumothorax, effusion or edema.", F.EDEMA, N),
    ("No large effusion.", F.PLEURAL_EFFUSION, N),
    ("No residual pneumothorax is seen; the effusion persists.", F.PLEURAL_EFFUSION, P),
    ("The previously seen right pneumothorax is no longer visualized.", F.PNEUMOTHORAX, N),
    ("Stable position of right chest tube without pneumothorax.", F.PNEUMOTHORAX, N),
    ("Stable position of right chest tube without pneumothorax.", F.SUPPORT_DEVICES, P),
    ("ETT, NG tube and left PICC are unchanged.", F.SUPPORT_DEVICES, P),
    ("The lungs are free of pneumothorax and effusion.", F.PLEURAL_EFFUSION, N),
    ("There is no pleural effusion and there is a large pneumothorax.", F.PNEUMOTHORAX, P),
    ("No pneumothorax and large right pleural effusion.", F.PLEURAL_EFFUSION, P),
    ("No focal consolidation, effusion, edema, or pneumothorax.", F.PNEUMOTHORAX, N),
    ("Mass effect on the trachea.", F.LUNG_LESION, NIL),
    ("No mediastinal widening.", F.ENLARGED_CARDIOMEDIASTINUM, N),
    ("There is no cardiomegaly or edema, but a 3.5 cm mass projects over the hilum.", F.LUNG_LESION, P),
    ("Pericardial effusion.", F.PLEURAL_EFFUSION, NIL),
    ("Atelectasis/effusion at the left base.", F.PLEURAL_EFFUSION, P),
    ("Not only pneumonia but effusion.", F.PNEUMONIA, P),
    ("No pneumothorax, effusion is unchanged.", F.PLEURAL_EFFUSION, P),
    ("PNEUMOTHORAX ON THE RIGHT.", F.PNEUMOTHORAX, P),
    ("Right pneumothorax has increased, no effusion.", F.PNEUMOTHORAX, P),
    ("No interval change in large right pneumothorax.", F.PNEUMOTHORAX, P),
    ("No significant change in effusion. No pneumothorax.", F.PNEUMOTHORAX, N),
    ("Large pneumothorax without tension.", F.PNEUMOTHORAX, P),
    ("Patient without fever. Effusion.", F.PLEURAL_EFFUSION, P),
    ("No definite pneumothorax is appreciated.", F.PNEUMOTHORAX, N),
    ("There is apical pneumothorax not significantly changed.", F.PNEUMOTHORAX, P),
    ("Interval development of a left pneumothorax with no mediastinal shift.", F.PNEUMOTHORAX, P),
    ("No rib fracture or pneumothorax, however there is a nodule.", F.LUNG_LESION, P),
    ("If there is concern for rib fracture, consider dedicated films.", F.FRACTURE, NIL),
    ("Neither effusion nor pneumothorax is present.", F.PNEUMOTHORAX, N),
    ("Pneumothorax is absent.", F.PNEUMOTHORAX, N),
    ("The pneumothorax seen previously is not present today.", F.PNEUMOTHORAX, N),
    ("Absent pneumothorax", F.PNEUMOTHORAX, N),
    ("Small right and moderate left pleural effusions.", F.PLEURAL_EFFUSION, P),
    ("Resolving pneumonia.", F.PNEUMONIA, P),
    ("The left lung demonstrates no infiltrate, and the right shows a mass.", F.LUNG_LESION, P),
    ("No pneumothorax after removal of the chest tube.", F.PNEUMOTHORAX, N),
    ("Low lung volumes. Left basilar atelectasis; pneumonia not excluded.", F.PNEUMONIA, U),
    ("Low lung volumes. Left basilar atelectasis; pneumonia not excluded.", F.ATELECTASIS, P),
    ("Bibasilar opacities, pneumonia cannot be excluded.", F.LUNG_OPACITY, P),
    ("Left-sided pneumothorax, not under tension.", F.PNEUMOTHORAX, P),
    ("The pneumothorax is not large.", F.PNEUMOTHORAX, P),
    ("There is not a pneumothorax.", F.PNEUMOTHORAX, N),
    ("Trace effusion, if any.", F.PLEURAL_EFFUSION, P),
    ("No consolidation, and no pneumothorax, with trace effusions bilaterally.", F.PLEURAL_EFFUSION, P),
    ("Interval placement of a right chest tube with decrease in the right pneumothorax.", F.PNEUMOTHORAX, P),
    ("Right apical pneumothorax is again seen, measuring 2 cm.", F.PNEUMOTHORAX, P),
    ("There is a tiny left apical pneumothorax, which is new.", F.PNEUMOTHORAX, P),
    ("Persistent small right pneumothorax following chest tube placement.", F.PNEUMOTHORAX, P),
    ("Status post removal of chest tube with tiny residual pneumothorax.", F.PNEUMOTHORAX, P),
    ("Following removal of the chest tube there is a small pneumothorax.", F.PNEUMOTHORAX, P),
    ("After removal of the chest tube, a small left pneumothorax has developed.", F.PNEUMOTHORAX, P),
    ("Chest tube removed, small pneumothorax.", F.PNEUMOTHORAX, P),
    ("No mediastinal shift to suggest tension pneumothorax.", F.PNEUMOTHORAX, N),
    ("Not significantly changed right pneumothorax.", F.PNEUMOTHORAX, P),
    ("No large pneumothorax.", F.PNEUMOTHORAX, N),
    ("No evidence of tension. Moderate right pneumothorax.", F.PNEUMOTHORAX, P),
    ("No pneumothorax on the right; left pneumothorax is small.", F.PNEUMOTHORAX, P),
    ("Previously described pneumothorax is not as well seen.", F.PNEUMOTHORAX, P),
    ("The right pneumothorax is less conspicuous.", F.PNEUMOTHORAX, P),
    ("No displaced fracture but there is a nondisplaced left seventh rib fracture.", F.FRACTURE, P),
    ("Multiple rib fractures without pneumothorax.", F.FRACTURE, P),
    ("Multiple rib fractures without pneumothorax.", F.PNEUMOTHORAX, N),
    ("No change in multiple rib fractures.", F.FRACTURE, P),
    ("There are no acute fractures.", F.FRACTURE, N),
    ("Acute fractures of the left fourth through sixth ribs.", F.FRACTURE, P),
    ("No other fractures are identified.", F.FRACTURE, N),
    ("Vertebral compression fractures, unchanged.", F.FRACTURE, P),
    ("Moderate right and small left pleural effusions, not significantly changed.", F.PLEURAL_EFFUSION, P),
    ("No significant interval change in moderate bilateral effusions.", F.PLEURAL_EFFUSION, P),
    ("Layering effusion on the right has decreased, no pneumothorax.", F.PLEURAL_EFFUSION, P),
    ("The right pleural effusion has nearly completely resolved.", F.PLEURAL_EFFUSION, P),
    ("Minimal if any pleural effusion.", F.PLEURAL_EFFUSION, P),
    ("No pleural effusion on the left. Small effusion on the right.", F.PLEURAL_EFFUSION, P),
    ("Pleural effusions have resolved.", F.PLEURAL_EFFUSION, N),
    ("Effusions are likely present.", F.PLEURAL_EFFUSION, P),
    ("No pleural effusions or pneumothoraces are present. ", F.PNEUMOTHORAX, N),
    ("Trace pleural effusions cannot be entirely excluded.", F.PLEURAL_EFFUSION, U),
    ("No right effusion, left effusion unchanged.", F.PLEURAL_EFFUSION, P),
    ("Spiculated mass in the right upper lobe, suspicious for malignancy.", F.LUNG_LESION, P),
    ("No suspicious pulmonary nodules or masses.", F.LUNG_LESION, N),
    ("Multiple pulmonary nodules consistent with metastases.", F.LUNG_LESION, P),
    ("No evidence of metastatic disease.", F.LUNG_LESION, N),
    ("2.3 cm nodule, not seen on prior exam.", F.LUNG_LESION, P),
    ("Follow-up CT is recommended to exclude an underlying mass.", F.LUNG_LESION, NIL),
    ("Followup to resolution to exclude underlying malignancy.", F.LUNG_LESION, NIL),
    ("Large left upper lobe mass with associated collapse.", F.LUNG_LESION, P),
    ("Left hilar mass is unchanged.", F.LUNG_LESION, P),
    ("There is no evidence of mass; nodule in the left lung base noted.", F.LUNG_LESION, P),
    ("Mild pulmonary edema has improved.", F.EDEMA, P),
    ("No overt pulmonary edema.", F.EDEMA, N),
    ("Pulmonary vascular congestion without frank edema.", F.EDEMA, N),
    ("Findings compatible with moderate congestive heart failure.", F.EDEMA, P),
    ("Right lower lobe consolidation is concerning for pneumonia.", F.PNEUMONIA, U),
    ("Right lower lobe consolidation is concerning for pneumonia.", F.CONSOLIDATION, P),
    ("Bibasilar atelectasis, superimposed infection cannot be excluded.", F.ATELECTASIS, P),
    ("Opacity likely representing atelectasis.", F.ATELECTASIS, P),
    ("Opacities may represent atelectasis or pneumonia.", F.ATELECTASIS, U),
    ("Opacities may represent atelectasis or pneumonia.", F.PNEUMONIA, U),
    ("Low lung volumes with no focal consolidation.", F.CONSOLIDATION, N),
    ("Lungs are clear without focal consolidation, effusion or pneumothorax.", F.PLEURAL_EFFUSION, N),
    ("The cardiomediastinal and hilar silhouettes are normal.", F.ENLARGED_CARDIOMEDIASTINUM, N),
    ("The cardiac, mediastinal and hilar contours are normal.", F.CARDIOMEGALY, N),
    ("The cardiac, mediastinal and hilar contours are normal.", F.ENLARGED_CARDIOMEDIASTINUM, N),
    ("Moderate cardiomegaly is unchanged.", F.CARDIOMEGALY, P),
    ("Heart size is mildly enlarged.", F.CARDIOMEGALY, P),
    ("The heart remains enlarged.", F.CARDIOMEGALY, P),
    ("Heart size is normal. Mediastinum is widened.", F.ENLARGED_CARDIOMEDIASTINUM, P),
    ("There is no widening of the mediastinum.", F.ENLARGED_CARDIOMEDIASTINUM, N),
    ("Endotracheal tube has been removed.", F.SUPPORT_DEVICES, N),
    ("ET tube terminates 4 cm above the carina.", F.SUPPORT_DEVICES, P),
    ("Left pectoral pacemaker with leads in unchanged position.", F.SUPPORT_DEVICES, P),
    ("No support devices.", F.SUPPORT_DEVICES, N),
    ("Biapical pleural thickening.", F.PLEURAL_OTHER, P),
    ("No pleural thickening.", F.PLEURAL_OTHER, N),
    ("Calcified pleural plaques.", F.PLEURAL_OTHER, P),
    ("No focal opacity or effusion; heart is large.", F.CARDIOMEGALY, P),
    ("IMPRESSION: No pneumothorax.", F.PNEUMOTHORAX, N),
    ("Pneumothorax (small, left).", F.PNEUMOTHORAX, P),
    ("Lungs: No consolidation. Pleura: No effusion or pneumothorax.", F.PNEUMOTHORAX, N),
    ("No evidence for acute pneumothorax after line placement.", F.PNEUMOTHORAX, N),
    ("There has been no interval development of pneumothorax.", F.PNEUMOTHORAX, N),
    ("There has been interval development of a pneumothorax, no effusion.", F.PNEUMOTHORAX, P),
    ("Neither pneumothorax nor effusion.", F.PLEURAL_EFFUSION, N),
    ("Patient has no known pneumothorax.", F.PNEUMOTHORAX, N),
    ("There is no longer a pneumothorax.", F.PNEUMOTHORAX, N),
    ("No longer seen is the left pneumothorax.", F.PNEUMOTHORAX, N),
    ("Pneumothorax not identified.", F.PNEUMOTHORAX, N),
    ("Pneumothorax has increased in size.", F.PNEUMOTHORAX, P),
    ("Suspected small right apical pneumothorax.", F.PNEUMOTHORAX, U),
    ("Small right apical pneumothorax is suspected.", F.PNEUMOTHORAX, U),
    ("Probable small left pneumothorax.", F.PNEUMOTHORAX, P),
    ("Lucency at the right apex could represent a pneumothorax.", F.PNEUMOTHORAX, U),
    ("Pneumothorax vs skin fold.", F.PNEUMOTHORAX, U),
    ("This is a skin fold and not a pneumothorax.", F.PNEUMOTHORAX, N),
    ("Skin fold rather than pneumothorax.", F.PNEUMOTHORAX, N),
    ("No definite evidence of pneumothorax is seen although the apices are obscured.", F.PNEUMOTHORAX, N),
    ("Right pneumothorax without evidence of tension.", F.PNEUMOTHORAX, P),
    ("Without interval change, moderate pneumothorax.", F.PNEUMOTHORAX, P),
    ("Known pneumothorax is stable.", F.PNEUMOTHORAX, P),
    ("No acute process. Known right pneumothorax, stable.", F.PNEUMOTHORAX, P),
    ("The patient is not intubated and has a pneumothorax.", F.PNEUMOTHORAX, P),
    ("No new pneumothorax.", F.PNEUMOTHORAX, N),
    ("Effusion or pneumothorax is not seen.", F.PLEURAL_EFFUSION, N),
    ("Normal heart, no pneumothorax, small effusion, no fracture.", F.PLEURAL_EFFUSION, P),
    ("Normal heart, no pneumothorax, effusion, fracture.", F.FRACTURE, N),
    ("There is no pneumothorax and no effusion.", F.PLEURAL_EFFUSION, N),
    ("Cardiomegaly, effusions, and edema.", F.EDEMA, P),
    ("Cardiomegaly without effusions and edema.", F.EDEMA, N),
    ("Healed granulomatous disease.", F.LUNG_LESION, NIL),
    ("Right PICC without pneumothorax.", F.SUPPORT_DEVICES, P),
    ("Nipple shadows mimic nodules.", F.LUNG_LESION, P),
    ("Costophrenic angles are sharp.", F.PLEURAL_EFFUSION, N),
    ("Chronic blunting of the left costophrenic angle.", F.PLEURAL_EFFUSION, NIL),
    ("Left lower lobe collapse and effusion.", F.ATELECTASIS, P),
    ("Nodular density consistent with a granuloma.", F.LUNG_LESION, NIL),
    ("Nodular density in the right lung.", F.LUNG_LESION, U),
    ("Nodular density on the right and calcified granuloma on the left.", F.LUNG_LESION, U),
    ("No nodular density or granuloma.", F.LUNG_LESION, N),
    ("No prior studies for comparison, pneumothorax with mediastinal shift.", F.PNEUMOTHORAX, P),
    ("Without prior films, pneumothorax of unknown age.", F.PNEUMOTHORAX, P),
    ("No prior fracture.", F.FRACTURE, N),
    ("No priors, tiny pneumothorax.", F.PNEUMOTHORAX, P),
    ("Small left apical pleural air collection.", F.PNEUMOTHORAX, P),
    ("No pleural air collection.", F.PNEUMOTHORAX, N),
    ("Both costophrenic angles are blunted.", F.PLEURAL_EFFUSION, U),
    ("Blunting of the bilateral costophrenic sulci.", F.PLEURAL_EFFUSION, U),
    ("No blunting of the bilateral costophrenic angles.", F.PLEURAL_EFFUSION, N),
    ("Nodular opacity over the left sixth rib and likely represents a granuloma.", F.LUNG_LESION, NIL),
    ("Nodular opacity over the rib, likely a healed rib fracture.", F.LUNG_LESION, NIL),
    ("Nodular opacity and a healed fracture are seen.", F.LUNG_LESION, U),
    ("Nodular opacity in the left lung, old rib fractures.", F.LUNG_LESION, U),
    ("Nodular opacity in the left lung with healed rib fractures.", F.LUNG_LESION, U),
    ("Nodular density secondary to soft tissue overlap.", F.LUNG_LESION, NIL),
    ("A nodular density is seen in the right base, consistent with a granuloma.", F.LUNG_LESION, NIL),
    ("Both costophrenic angles are blunted with healed rib fractures.", F.PLEURAL_EFFUSION, U),
    ("Nodular density and granuloma are seen.", F.LUNG_LESION, U),
    ("Nodular opacity may represent nipple shadow or mass.", F.LUNG_LESION, U),
    ("Masslike opacity in the left apex.", F.LUNG_LESION, U),
    ("No masslike opacity.", F.LUNG_LESION, N),
    ("Reticular nodular opacities in both lungs.", F.LUNG_LESION, NIL),
    ("Reticular nodular opacities in both lungs.", F.LUNG_OPACITY, P),
    ("Probable lymphangitic spread of carcinoma.", F.LUNG_LESION, NIL),
    ("Heart size is upper limits of normal or mildly enlarged.", F.CARDIOMEGALY, U),
    ("Heart size is upper limits of normal.", F.CARDIOMEGALY, N),
    ("A patchy infiltrate has developed in the left base.", F.PNEUMONIA, U),
    ("A patchy infiltrate has developed in the left base.", F.LUNG_OPACITY, P),
    ("No infiltrate has developed.", F.PNEUMONIA, N),
    ("A consolidation has developed in the left base.", F.CONSOLIDATION, P),
    ("Findings highly suggestive of pneumonia.", F.PNEUMONIA, P),
    ("Findings suggestive of pneumonia.", F.PNEUMONIA, U),
    ("Differential considerations include infiltrate and mild edema.", F.EDEMA, NIL),
    ("The differential includes pneumonia, and there is a small effusion.", F.PLEURAL_EFFUSION, P),
    ("Could be an enlarged node, a vascular shadow, or a primary lung cancer.", F.LUNG_LESION, U),
    ("There is no effusion, healed rib fractures.", F.FRACTURE, P),
    ("No mass or acute or healed fracture.", F.FRACTURE, N),
]


def state(text, finding):
    return State(LABELER.label([text])[0, INDEX[finding]])


@pytest.mark.parametrize(("text", "finding", "expected"), SAID)
def test_what_a_sentence_says(text, finding, expected):
    assert state(text, finding) is expected


@pytest.mark.parametrize("finding", SENTENCES)
def test_the_templates_sentences_say_what_they_are_for(finding):
    assert state(SENTENCES[finding], finding) is P
    labels = LABELER.label(["\n".join(fill_template([finding]))])[0]
    claimed = {FINDINGS[column] for column in np.flatnonzero(labels == P)}
    assert claimed - {F.NO_FINDING} == {finding}
    if finding in ABSENT:
        assert state(ABSENT[finding], finding) is N


def test_no_finding_is_derived_as_chexpert_does():
    for text in (NOTHING, "No pneumothorax.", "Endotracheal tube in place.", "Scoliosis.", "Unremarkable."):
        assert state(text, F.NO_FINDING) is P, text
    for text in ("Possible pneumonia.", "Rib fracture.", "", " \n\t", "...", "\x00"):
        assert state(text, F.NO_FINDING) is NIL, text


def test_of_several_mentions_positive_beats_uncertain_beats_negative():
    none, maybe, there = "No effusion.", "Possible effusion.", "Large effusion."
    for parts, expected in (
        ((none, maybe), U), ((maybe, none), U), ((there, none, maybe), P), ((none,), N)
    ):  # fmt: skip
        assert state(" ".join(parts), F.PLEURAL_EFFUSION) is expected


OTHER = [
    "The lungs are clear.", "No effusion is seen.", "There is no evidence of pneumonia",
    "Heart size is normal", "Possible atelectasis;", "1. Sternotomy wires are intact.", "Pas de fièvre.",
    "XXXX XXXX.", "", "?", "Compared to 3.5 cm", "Without change", "Cannot exclude edema.",
]  # fmt: skip


@given(st.lists(st.sampled_from(OTHER), max_size=6), st.lists(st.sampled_from(OTHER), max_size=6))
def test_a_sentence_of_its_own_is_read_whatever_stands_around_it(before, after):
    text = "\n".join(["\n".join(before), "There is a right pneumothorax.", "\n".join(after)])
    assert state(text, F.PNEUMOTHORAX) is P
    text = text.replace("There is a right", "There is no right")
    assert state(text, F.PNEUMOTHORAX) is N


@given(st.lists(st.text(max_size=60) | st.sampled_from([text for text, _, _ in SAID]), max_size=8))
def test_a_texts_labels_depend_on_that_text_alone(texts):
    together = LABELER.label(texts)
    assert together.dtype == np.int8
    assert together.shape == (len(texts), 14)
    for text, row in zip(texts, together, strict=True):
        assert (LABELER.label([text])[0] == row).all()


@given(st.text(max_size=80).map(lambda noise: f"{noise}. Moderate left effusion, İß. {noise}"))
def test_the_mentions_prove_the_labels(text):
    labels = LABELER.label([text])[0]
    strongest = dict.fromkeys(FINDINGS, NIL)
    rank = [NIL, N, U, P]
    for mention in LABELER.mentions(text):
        assert 0 <= mention.start < mention.end <= len(text)
        strongest[mention.finding] = max(strongest[mention.finding], mention.state, key=rank.index)
        for span in (mention.cue, mention.severity_span, mention.laterality_span):
            assert span is None or 0 <= span[0] < span[1] <= len(text)
    for finding in FINDINGS[1:]:
        assert labels[INDEX[finding]] == strongest[finding]
    place = text.index("Moderate left effusion, İ") + len("Moderate left ")
    [effusion] = [m for m in LABELER.mentions(text) if m.start == place]
    assert text[slice(*effusion.severity_span)] == "Moderate"
    assert text[slice(*effusion.laterality_span)] == "left"


@pytest.mark.parametrize(
    ("text", "finding", "severity", "laterality"),
    [
        ("Small left and moderate right pleural effusions.", F.PLEURAL_EFFUSION, "moderate", "bilateral"),
        ("The heart is moderately enlarged.", F.CARDIOMEGALY, "moderate", None),
        ("Opacity in the left lower lobe and right upper lobe.", F.LUNG_OPACITY, None, "bilateral"),
        ("Bilateral effusions, right greater than left.", F.PLEURAL_EFFUSION, None, "bilateral"),
        ("Large right pneumothorax, small left effusion.", F.PNEUMOTHORAX, "severe", "right"),
        ("Large right pneumothorax, small left effusion.", F.PLEURAL_EFFUSION, "mild", "left"),
        ("Left effusion and atelectasis.", F.ATELECTASIS, None, "left"),
        ("Pneumothorax, left lung is clear.", F.PNEUMOTHORAX, None, None),
        ("Effusion on the right.", F.PLEURAL_EFFUSION, None, "right"),
        ("Mildly displaced left rib fracture.", F.FRACTURE, "moderate", "left"),
        ("No large left effusion.", F.PLEURAL_EFFUSION, None, None),
    ],
)
def test_severity_and_side(text, finding, severity, laterality):
    [mention] = [m for m in LABELER.mentions(text) if m.finding is finding]
    assert (mention.severity, mention.laterality) == (severity, laterality)


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "\r\n\r\n", "\x00\x00", "\ud800 \udfff", "\u202epneumothorax", "<script>alert(1)</script>",
        "normal", "İİİ", "肺炎", "Légère cardiomégalie sans épanchement.", "a" * 100_000, "( , : / ?",
    ],
)  # fmt: skip
def test_strange_texts_give_labels_and_no_error(text):
    assert LABELER.label([text]).shape == (1, 14)
    LABELER.mentions(text)


def test_marks_and_line_ends_around_a_word_do_not_hide_it():
    for text in ("<b>Pneumothorax</b>", "\u202ePneumothorax", "No effusion.\r\nPneumothorax.\r\n",
                 "Pneumothorax\x00", "\ud800 Pneumothorax"):  # fmt: skip
        assert state(text, F.PNEUMOTHORAX) is P, ascii(text)


def test_a_very_long_report_is_read_to_its_end():
    assert state("The lungs are clear. " * 700 + "Tiny left pneumothorax.", F.PNEUMOTHORAX) is P
    assert state("word " * 200_000 + "pneumothorax", F.PNEUMOTHORAX) is P  # one line of a megabyte


def test_the_signature_names_the_lexicon():
    assert LABELER.signature() == f"rules|v3|lexicon:{LABELER.lexicon.digest[:12]}"
