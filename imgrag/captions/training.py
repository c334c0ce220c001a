"""Training a LoRA for the captioner: peft's low-rank adaptation (Hu et al., 2021) by transformers' Trainer.

After each epoch a checkpoint is kept and captions are written and measured; the best epoch's LoRA is the adapter.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from imgrag.captions.lessons import Lesson, Sample, digest, read_samples, write_samples
from imgrag.captions.measures import bleu, require_bleu
from imgrag.errors import RequestError
from imgrag.models.checkpoints import PROJECT, locate
from imgrag.models.profile import Profile

CACHE = PROJECT / ".cache" / "captions"
MEASURED = 200  # samples that captions are written for after each epoch
LONGEST_PROMPT, LONGEST_CAPTION = 512, 96  # tokens


@dataclass(frozen=True)
class Epoch:
    """How good it was after an epoch, on pictures that it did not learn from."""

    number: int
    loss: float
    bleu_4: float


def training_folder(name: str, library: str, lesson: Lesson, profile: Profile) -> Path:
    """Where a training keeps what it needs to go on; other settings are another training."""
    label = profile.captioner.checkpoint.label if profile.captioner else ""
    return CACHE / f"{name}-{digest(library, asdict(lesson), label)}"


def kept_samples(
    work: Path, make: Callable[[], tuple[list[Sample], list[Sample]]]
) -> tuple[list[Sample], list[Sample]]:
    """Samples to train by and to measure by, made once for a training."""
    files = work / "train.jsonl", work / "validation.jsonl"
    if not all(file.is_file() for file in files):
        work.mkdir(parents=True, exist_ok=True)
        for made, file in zip(make(), files, strict=True):
            write_samples(made, file)
    first, second = map(read_samples, files)
    return first, second


def train_adapter(
    work: Path,
    folder: Path,
    learnt: Sequence[Sample],
    kept: Sequence[Sample],
    profile: Profile,
    lesson: Lesson,
    say: Callable[[str], None] = lambda line: None,
) -> list[Epoch]:
    """Train and write the adapter's folder; a training that was stopped goes on after its last whole epoch.

    Raises:
        RequestError: the profile has no captioner that learns, or sacrebleu is not installed.
        CheckpointError: the captioner is not here.
    """
    require_bleu()
    if profile.captioner is None:
        raise RequestError(
            f"The profile {profile.name!r} has the VLM write captions, which does not learn here."
        )
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
    from transformers.trainer_utils import get_last_checkpoint

    base = locate(profile.captioner.checkpoint, profile.name)
    words = AutoTokenizer.from_pretrained(base, local_files_only=True)
    torch.manual_seed(lesson.seed)
    model = _adapted(AutoModelForSeq2SeqLM.from_pretrained(base, local_files_only=True).float(), lesson)
    epochs: list[Epoch] = []
    trainer = _trainer(model, words, work, learnt, kept, lesson, epochs, say)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(work)) if work.is_dir() else None)
    epochs = _epochs(trainer.state.log_history)
    _write(folder, model, base, profile, learnt, kept, lesson, epochs)
    return epochs


def _adapted(model: Any, lesson: Lesson) -> Any:
    from peft import LoraConfig, get_peft_model

    names = [name for name, module in model.named_modules() if _is_wanted(name, module, lesson.targets)]
    if not names:
        raise RequestError(f"The captioner has no layer called {' or '.join(lesson.targets)}.")
    config = LoraConfig(
        r=lesson.rank,
        lora_alpha=lesson.alpha,
        lora_dropout=lesson.dropout,
        target_modules=names,
        task_type="SEQ_2_SEQ_LM",
    )
    return get_peft_model(model, config)


def _is_wanted(name: str, module: torch.nn.Module, targets: Sequence[str]) -> bool:
    return isinstance(module, torch.nn.Linear) and name.rpartition(".")[2] in targets


def _trainer(
    model: Any, words: Any, work: Path, learnt: Sequence[Sample], kept: Sequence[Sample], lesson: Lesson,
    epochs: list[Epoch], say: Callable[[str], None],
) -> Any:  # fmt: skip
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    class Captions(Trainer):
        """Measures what it writes beside its loss, and takes its batches from lists.

        The Trainer's own loaders ask whether a data set is one of the package `datasets`, for which they take the
        folder of that name in this project.
        """

        def get_train_dataloader(self) -> Any:
            return self._batches(self.train_dataset, shuffle=True)

        def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
            return self._batches(self.eval_dataset, shuffle=False)

        def _batches(self, rows: Any, shuffle: bool) -> Any:
            order = torch.Generator().manual_seed(lesson.seed)
            loader = torch.utils.data.DataLoader(
                rows, lesson.batch, shuffle=shuffle, generator=order, collate_fn=self.data_collator
            )
            return self.accelerator.prepare(loader)

        def evaluate(self, *args: Any, **settings: Any) -> dict[str, float]:
            figures: dict[str, float] = super().evaluate(*args, **settings)
            figures["eval_bleu_4"] = written_bleu(self.model, words, kept[:MEASURED])
            self.log({"eval_bleu_4": figures["eval_bleu_4"]})
            number = round(self.state.epoch or 0)
            say(f"Epoch {number}: loss {figures['eval_loss']:.4f}, BLEU-4 {figures['eval_bleu_4']:.4f}")
            return figures

    settings = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=lesson.epochs,
        per_device_train_batch_size=lesson.batch,
        per_device_eval_batch_size=lesson.batch,
        learning_rate=lesson.rate,
        seed=lesson.seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="bleu_4",
        greater_is_better=True,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        use_cpu=not torch.cuda.is_available(),
    )
    return Captions(
        model=model,
        args=settings,
        train_dataset=[_tokens(sample, words) for sample in learnt],
        eval_dataset=[_tokens(sample, words) for sample in kept],
        data_collator=DataCollatorForSeq2Seq(words, model=model, label_pad_token_id=-100),
    )


def _tokens(sample: Sample, words: Any) -> dict[str, Any]:
    asked = words(sample.prompt, truncation=True, max_length=LONGEST_PROMPT)
    labels = words(sample.target, truncation=True, max_length=LONGEST_CAPTION).input_ids
    return {"input_ids": asked.input_ids, "attention_mask": asked.attention_mask, "labels": labels}


@torch.no_grad()
def written_bleu(model: Any, words: Any, kept: Sequence[Sample]) -> float:
    """BLEU-4 of what a model writes for these prompts, 0..1."""
    model.eval()
    said: list[str] = []
    for start in range(0, len(kept), 64):
        batch = [sample.prompt for sample in kept[start : start + 64]]
        asked = words(batch, return_tensors="pt", padding=True, truncation=True, max_length=LONGEST_PROMPT)
        tokens = model.generate(
            input_ids=asked.input_ids.to(model.device), attention_mask=asked.attention_mask.to(model.device),
            max_new_tokens=LONGEST_CAPTION, do_sample=False,
        )  # fmt: skip
        said += words.batch_decode(tokens, skip_special_tokens=True)
    return bleu(said, [sample.captions for sample in kept])


def _epochs(history: Sequence[dict[str, float]]) -> list[Epoch]:
    losses = [line["eval_loss"] for line in history if "eval_loss" in line]
    scores = [line["eval_bleu_4"] for line in history if "eval_bleu_4" in line]
    return [Epoch(n, *pair) for n, pair in enumerate(zip(losses, scores, strict=False), start=1)]


def _write(
    folder: Path, model: Any, base: Path, profile: Profile, learnt: Sequence[Sample], kept: Sequence[Sample],
    lesson: Lesson, epochs: Sequence[Epoch],
) -> None:  # fmt: skip
    """The whole folder beside its place, then in its place."""
    label = profile.captioner.checkpoint.label if profile.captioner else ""
    model.peft_config["default"].base_model_name_or_path = label  # no path of this machine
    made = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    model.save_pretrained(made)
    (made / "README.md").write_text(_card(folder.name, label, learnt, kept, lesson, epochs), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(made, folder)


def _card(
    name: str, label: str, learnt: Sequence[Sample], kept: Sequence[Sample], lesson: Lesson,
    epochs: Sequence[Epoch],
) -> str:  # fmt: skip
    rows = "\n".join(f"| {one.number} | {one.loss:.4f} | {one.bleu_4:.4f} |" for one in epochs)
    return f"""# {name}

A LoRA for the captioner `{label}`, trained by `python -m imgrag captions train`.

- **Data.** {len(learnt):,} pictures to learn from and {len(kept):,} to measure by, none with its own captions as neighbours.
- **Settings.** Rank {lesson.rank}, alpha {lesson.alpha}, dropout {lesson.dropout:g}, on {", ".join(lesson.targets)}; rate {lesson.rate:g}, {lesson.batch} a step, seed {lesson.seed}.

| epoch | loss | BLEU-4 |
|---|---|---|
{rows}
"""
