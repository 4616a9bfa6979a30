"""The row of classes: which is chosen, and that it is seen."""


def test_a_new_name_that_is_refused_leaves_the_class_chosen(hand):
    hand.page.evaluate("annotator.channel.change = async () => ({ error: 'There is a class called dog already.' })")
    hand.page.get_by_role("button", name="Rename, recolour or remove this class").click()
    hand.page.get_by_label("Name of the class").fill("dog")
    hand.press("Enter")
    hand.page.wait_for_selector(".g-problem")
    assert hand.page.locator(".g-active .g-label").inner_text() == "cat"
