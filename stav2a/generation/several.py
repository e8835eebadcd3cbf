"""Several clips through the model at once: one batch for the denoising, where a device is fastest.

Clips share what decides the shape and the course of the denoising; caption, onsets and seed are each clip's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stav2a.denoise.conditions import concatenated
from stav2a.generation.generate import Job
from stav2a.generation.settings import Settings

if TYPE_CHECKING:
    from stav2a.generation.engine import Engine
    from stav2a.output import STAV2AOutput
    from stav2a.pipeline import STAV2APipeline

SHARED = (  # of the settings: all but what each clip of a batch may have of its own
    "model",
    "guidance_scale",
    "video_guidance_scale",
    "negative_guidance_scale",
    "alignment_guidance_scale",
    "steps",
    "sampler",
    "control_scale",
)


def batch_key(job: Job, pipeline: STAV2APipeline) -> tuple | None:
    """Jobs of one key can share a batch; None for a job that must go alone.

    Texts of a batch are padded to one length, which a ControlNet that sees padding (the faithful mode) would hear.
    """
    if job.settings.takes > 1 or not pipeline.defaults["mask_control"]:
        return None
    timeline, multiple = pipeline.timeline, pipeline.latent_multiple
    length = -(-timeline.latent_length(len(job.clip.frames) / timeline.fps) // multiple)
    return (length, *(getattr(job.settings, name) for name in SHARED))


def compute_batch(jobs: list[Job], engine: Engine) -> list[STAV2AOutput]:
    """What `generate.compute` makes of every job, up to rounding; all jobs have one `batch_key`."""
    settings: Settings = jobs[0].settings
    pipeline = engine.pipeline(settings.model)
    with engine.lock, engine.free_memory_on_failure():
        with jobs[0].timed("video"):
            videos = [pipeline.encode_video(job.clip.frames) for job in jobs]
        with jobs[0].timed("text"):
            conditions = concatenated(
                [
                    pipeline.extract(
                        video,
                        job.settings.prompt,
                        job.settings.negative_prompt,
                        onsets_s=job.settings.onsets_s,
                        layout=job.settings.layout,
                    )
                    for video, job in zip(videos, jobs, strict=True)
                ]
            )
        chosen = {
            "num_inference_steps": settings.steps or pipeline.defaults["steps"],
            "sampler": settings.sampler or pipeline.defaults["sampler"],
        }
        guidance = pipeline.guidance(
            settings.guidance_scale,
            settings.video_guidance_scale,
            settings.control_scale,
            negative=settings.negative_guidance_scale,
            alignment=settings.alignment_guidance_scale,
        )
        with jobs[0].timed("denoise"):
            for latents in pipeline.denoise(  # noqa: B007
                conditions,
                length=pipeline.padded_length(videos[0]),
                seeds=[job.settings.seed for job in jobs],
                steps=chosen["num_inference_steps"],
                guidance=guidance,
                sampler=chosen["sampler"],
            ):
                pass
        with jobs[0].timed("decode"):
            waveforms, mels = pipeline.decode(latents)
    share_time(jobs)
    return [
        pipeline.output(
            video,
            waveforms[k : k + 1],
            mels[k : k + 1],
            job.settings.onsets_s,
            [job.settings.seed],
            {
                "prompt": pipeline.caption(video, job.settings.prompt),
                "negative_prompt": job.settings.negative_prompt,
                "controlnet_conditioning_scale": job.settings.control_scale,
                "guidance_scale": guidance.text,
                "video_guidance_scale": guidance.video,
                "seed": job.settings.seed,
                "takes": 1,
                **chosen,
            },
            job.settings.layout,
        )
        for k, (video, job) in enumerate(zip(videos, jobs, strict=True))
    ]


def share_time(jobs: list[Job]) -> None:
    """The batch's seconds were noted with its first job: every job takes its part."""
    for stage in ("video", "text", "denoise", "decode"):
        part = jobs[0].stages[stage] / len(jobs)
        for job in jobs:
            job.stages[stage] = part
