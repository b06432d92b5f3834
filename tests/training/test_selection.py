from harness.training.selection import Score, best_epoch, should_stop

NAN = float("nan")


def scores(*pairs):
    return [Score(*pair) for pair in pairs]


def test_of_equally_sensitive_epochs_the_lowest_loss_is_kept():
    assert best_epoch(scores((3, 0.8), (1, 0.8), (2, 0.8)), 0.01) == 1


def test_a_lower_loss_does_not_buy_missed_findings():
    assert best_epoch(scores((3, 0.80), (1, 0.70)), 0.01) == 0


def test_within_the_margin_the_loss_decides():
    assert best_epoch(scores((3, 0.80), (1, 0.795)), 0.01) == 1


def test_the_kept_epoch_gives_way_when_a_later_one_is_far_more_sensitive():
    assert best_epoch(scores((2, 0.80), (1, 0.795), (5, 0.9)), 0.01) == 2


def test_of_equals_the_first_is_kept():
    assert best_epoch(scores((1, 0.8), (1, 0.8)), 0.01) == 0


def test_without_any_sensitivity_the_loss_alone_decides():
    assert best_epoch(scores((3, NAN), (1, NAN), (2, NAN)), 0.01) == 1
    assert not should_stop(scores((3, NAN), (2, NAN), (1, NAN)), 1)
    assert should_stop(scores((3, NAN), (4, NAN)), 1)


def test_an_epoch_without_sensitivity_is_not_kept_where_another_has_one():
    assert best_epoch(scores((1, NAN), (2, 0.5)), 0.01) == 1


def test_it_stops_only_when_neither_loss_nor_sensitivity_gains():
    assert should_stop(scores((1, 0.8), (2, 0.7), (3, 0.8)), 2)
    assert not should_stop(scores((1, 0.8), (2, 0.7), (3, 0.81)), 2)
    assert not should_stop(scores((1, 0.8), (2, 0.7), (0.9, 0.1)), 2)
    assert not should_stop(scores((1, 0.8), (2, 0.7)), 2)
